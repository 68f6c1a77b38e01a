"""Whether a checkpoint can be gone on from, asked before anything is set up; and what the run before it logged."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from hific.errors import OptionError
from hific.io.checkpoint_file import DAMAGE
from hific.training.adversarial_module import AdversarialModule


def check_resume(path: str | Path, module: AdversarialModule, max_steps: int) -> int:
    """The batches that the checkpoint has behind it.

    Raises:
        OptionError: no such file, not a checkpoint of this suite, another model, rate or size, another boundary of the
            stages, or nothing left to train.
    """
    checkpoint = _read(Path(path))
    entry = checkpoint["hific"]
    theirs = {"name": entry["name"], **entry["arguments"]}
    ours = {"name": module.name, **module.model.arguments}
    for name, value in module.fixed_on_resume.items():
        if name in entry["training"]:  # not in checkpoints of earlier versions
            theirs[name], ours[name] = entry["training"][name], value
    if theirs != ours:
        different = [f"{key} {theirs.get(key)} there, {ours[key]} here" for key in ours if theirs.get(key) != ours[key]]
        raise OptionError(
            f"ckpt_path={path} is of another run ({'; '.join(different)}): repeat the options of its run, which are "
            f"in {Path(path).parent / '.hydra' / 'overrides.yaml'}; to start from other weights use init_from="
        )
    steps = int(checkpoint["global_step"])
    if 0 <= max_steps <= steps:
        raise OptionError(
            f"ckpt_path={path} has {steps} batches behind it, and {max_steps} are to be trained: raise "
            "recipe.steps (recipe.stage2_steps for HiFiC)"
        )
    return steps


def keep_earlier_metrics(folder: str | Path, step: int) -> None:
    """The logger begins metrics.csv anew: one that is there already stays as metrics_until_STEP.csv."""
    metrics = Path(folder) / "metrics.csv"
    if metrics.is_file():
        metrics.replace(metrics.with_name(f"metrics_until_{step}.csv"))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        hint = f"; {path / 'last.ckpt'} is there" if (path / "last.ckpt").is_file() else ""
        raise OptionError(f"ckpt_path={path}: there is no such file{hint}")
    if not zipfile.is_zipfile(path):
        raise OptionError(f"ckpt_path={path} is damaged, or no checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, *DAMAGE) as error:
        raise OptionError(f"ckpt_path={path} is damaged, or no checkpoint") from error
    if not isinstance(checkpoint, dict) or not {"hific", "global_step", "optimizer_states"} <= checkpoint.keys():
        raise OptionError(f"ckpt_path={path} is no training checkpoint of this suite")
    return checkpoint
