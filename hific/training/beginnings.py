"""How a training begins: its initialization, from another run's weights or where one stopped; its first messages."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from lightning import Trainer
from torch import nn

from hific.errors import CheckpointError, OptionError
from hific.io.checkpoint_file import read_checkpoint
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.precision import emulates_bfloat16

LAST, BEFORE_LAST = "last.ckpt", "last_before.ckpt"

if TYPE_CHECKING:
    from hific.training.adversarial_module import AdversarialModule


log = logging.getLogger(__name__)

InitializationKind = Literal["random", "klt", "lapped"]


@dataclass(frozen=True)
class Initialization:
    """`random`; `klt`: a linear transform coder of blocks (networks/klt_initialization.py); `lapped`: the same with
    overlapping blocks, fitted to `num_photos` whole training photos in `steps` steps (models/lapped_initialization.py).
    """

    kind: InitializationKind = "random"
    num_photos: int = 96
    steps: int = 400

    def __post_init__(self) -> None:
        if self.kind not in get_args(InitializationKind):
            raise OptionError(f"initialization={self.kind!r} is none of {', '.join(get_args(InitializationKind))}")
        if self.num_photos < 1 or self.steps < 1:
            raise OptionError(f"initialization: num_photos={self.num_photos} and steps={self.steps} must be 1 or more")

    def prepare(self, model: HyperpriorAutoencoder) -> None:
        """All but what is fitted to photos, in place."""
        if self.kind != "random":
            model.initialize_klt()


def load_matching_weights(module: nn.Module, path: str | Path) -> None:
    """Loads the weights of equal name and shape from a checkpoint; optimizers and counters start anew.

    What does not fit (another rate's latent convolutions, say) keeps its fresh initialization and is logged by name.

    Raises:
        OptionError: there is no such file, or not one weight fits.
    """
    try:
        state = read_checkpoint(Path(path)).get("state_dict")
    except CheckpointError as error:
        raise OptionError(f"init_from={error}") from error
    if not isinstance(state, dict):
        raise OptionError(f"init_from={path}: has no weights")
    own = module.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if len(fitting) < len(own) / 2:
        log.warning("init_from=%s is of a very different model: most weights start afresh", path)
    if not fitting:
        raise OptionError(f"init_from={path}: none of its {len(state)} weights has a place in this model")
    module.load_state_dict(fitting, strict=False)
    fresh = sorted(set(own) - set(fitting))
    log.info("took %d of %d weights from %s; fresh: %s", len(fitting), len(own), path, ", ".join(fresh) or "none")


def check_resume(path: str | Path, module: AdversarialModule, max_steps: int, *, finished: bool = False) -> int:
    """The batches that the checkpoint has behind it. They may be all where it was left while its coding was fitted, or
    where it may be `finished`.

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
    steps, planned = int(checkpoint["global_step"]), entry["training"].get("planned_steps", max_steps)
    if planned != max_steps:
        log.warning(
            "ckpt_path=%s was to train %d batches, and now it is %d: schedules go by the share that is done, so the "
            "rest is trained otherwise than in one run of %d",
            *(path, planned, max_steps, max_steps),
        )
    unfinished = steps == max_steps and not entry["training"].get("coding_fitted", True)
    allowed = unfinished or (finished and steps == max_steps)
    if 0 <= max_steps <= steps and not allowed:
        raise OptionError(
            f"ckpt_path={path} has {steps} batches behind it, and {max_steps} are to be trained: raise "
            "recipe.steps (recipe.stage2_steps for HiFiC)"
        )
    return steps


def checkpoint_to_resume(folder: Path) -> Path | None:
    """The last one of a run that can be read; a warning where that is not its last.ckpt. None where there is none."""
    for name in (LAST, BEFORE_LAST):
        path = folder / name
        if path.is_file():
            try:
                _read(path)
            except OptionError as error:
                log.warning("%s; the one before is taken", error)
            else:
                return path
    return None


def keep_earlier_metrics(folder: str | Path, step: int) -> None:
    """The logger begins metrics.csv anew: one that is there already stays as metrics_until_STEP.csv."""
    metrics = Path(folder) / "metrics.csv"
    if metrics.is_file():
        metrics.replace(metrics.with_name(f"metrics_until_{step}.csv"))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        hint = f"; {path / 'last.ckpt'} is there" if (path / "last.ckpt").is_file() else ""
        raise OptionError(f"ckpt_path={path}: there is no such file{hint}")
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        raise OptionError(f"ckpt_path={error}") from error
    if not {"hific", "global_step", "optimizer_states"} <= checkpoint.keys():
        raise OptionError(f"ckpt_path={path} is no training checkpoint of this suite")
    return checkpoint


def silence_known_messages() -> None:
    """Hides advice on paid services, what is told twice, and warnings of what is intended: the run's folder exists,
    since Hydra made it."""
    for message in (
        ".*exists and is not empty.*",
        ".*treespec.*",
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*torch.distributed.nn.functional.all_gather is deprecated.*",
        ".*The dirpath has changed.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip" not in record.getMessage()
    )
    if logging.getLogger().handlers:  # of a job, which tell what Lightning's own handler would tell again
        logging.getLogger("lightning").handlers.clear()


def warn_of_slow_precision(trainer: Trainer) -> None:
    """Says so where bfloat16 would be emulated: a step of CompressNet at size=small took 35 times float32's."""
    if trainer.precision.startswith("bf16") and trainer.strategy.root_device.type == "cpu" and emulates_bfloat16():
        log.warning(
            "this processor has no bfloat16 instructions: trainer.precision=%s is many times slower on it than "
            "32-true (Ctrl-C stops the run)",
            trainer.precision,
        )
