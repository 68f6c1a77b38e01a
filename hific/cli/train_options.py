"""What train.py's options must be, asked when they are composed and before anything slow."""

from __future__ import annotations

import re
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from hific.cli.check_config import check_config
from hific.errors import DataNotFoundError, OptionError

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
