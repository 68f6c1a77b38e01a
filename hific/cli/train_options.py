"""What train.py's options must be, asked when they are composed and before anything slow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from hific.cli.check_config import check_config
from hific.errors import CheckpointError, DataNotFoundError, OptionError
from hific.io.checkpoint_file import read_checkpoint

STEPS = ("steps", "stage1_steps", "stage2_steps")
# In a source that is made of several: ${....root.clic}
NAMED_ROOT = re.compile(r"\$\{\.+root\.(\w+)\}")


@dataclass(frozen=True)
class TrainOptions:
    """The plain values at the top of conf/train.yaml."""

    seed: int
    ckpt_path: str | None
    init_from: str | None
    base_checkpoint: str | None
    test: bool
    output_dir: str


def check_options(config: DictConfig) -> None:
    """Raises OptionError or DataNotFoundError for options that cannot work, before anything slow."""
    check_roots(config)
    check_config(config, TrainOptions)
    if not 0 <= config.seed < 1 << 32:
        raise OptionError(f"seed={config.seed} lies in 0..{(1 << 32) - 1}")
    if config.trainer.max_steps != -1:
        steps = " and ".join(f"recipe.{key}" for key in STEPS if key in config.recipe)
        raise OptionError(f"trainer.max_steps={config.trainer.max_steps}: how long this model trains is {steps}")
    beginnings = [name for name in ("ckpt_path", "init_from", "base_checkpoint") if config[name] is not None]
    if len(beginnings) > 1:
        raise OptionError(f"{' and '.join(beginnings)} exclude each other: one beginning")


def check_roots(config: DictConfig) -> None:
    """Raises DataNotFoundError where the set needs a folder, or several by name, that are not given."""
    data = config.data
    names = NAMED_ROOT.findall(str(OmegaConf.to_container(data.source, resolve=False)))
    if names:
        root = None if OmegaConf.is_missing(data, "root") else data.root
        given = [name for name in names if isinstance(root, DictConfig) and root.get(name) is not None]
        due = [f"data.root.{name}=FOLDER" for name in names if name not in given]
    else:
        due = ["data.root=FOLDER"] if OmegaConf.is_missing(data, "root") else []
    if due:
        raise DataNotFoundError(f"data={config.training_info.data} needs its photos: {' '.join(due)}")


TAKEN = ("size", "rate")
SET_STEPS = re.compile(r"\+*(recipe|model)\.[\w.]*steps=.*")


def with_choices_of_base(arguments: Sequence[str]) -> list[str]:
    """Overrides of train.py, with the size and the rate of `base_checkpoint=` where there is one.

    Raises:
        OptionError: others than the base's are asked for, or batches to train; bases of a sweep are not alike.
        CheckpointError: there is no such checkpoint.
    """
    paths = [one.partition("=")[2] for one in arguments if one.startswith("base_checkpoint=")]
    if not paths or paths[-1] in ("null", ""):
        return list(arguments)
    trained = [one for one in arguments if SET_STEPS.fullmatch(one)]
    if trained:
        raise OptionError(f"{trained[0]}: base_checkpoint stays as it is, no batches are trained with it")
    choices = {_choices(Path(path.strip("'\""))) for path in paths[-1].split(",")}
    if len(choices) > 1:
        raise OptionError("base_checkpoint: a sweep is over models of one size and rate")
    added = []
    for group, choice in choices.pop():
        asked = [one.partition("=")[2] for one in arguments if one.startswith(f"{group}=")]
        if asked and asked[-1] != choice:
            raise OptionError(f"{group}={asked[-1]}: base_checkpoint is of {group}={choice}, which is taken from it")
        added += [] if asked else [f"{group}={choice}"]
    return [*arguments, *added]


def _choices(path: Path) -> tuple[tuple[str, str], ...]:
    entry = read_checkpoint(path).get("hific")
    if not isinstance(entry, dict) or not isinstance(entry.get("training"), dict):
        raise CheckpointError(f"{path}: a checkpoint, but not one that this suite's train.py made")
    return tuple((group, str(entry["training"][group])) for group in TAKEN if group in entry["training"])
