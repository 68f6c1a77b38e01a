"""What train.py's options must be, asked when they are composed and before anything slow."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from hific.cli.check_config import check_config
from hific.errors import DataNotFoundError, OptionError


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
    if missing := sorted(key for key in OmegaConf.missing_keys(config.data) if key.startswith("root")):
        due = " ".join(f"data.{key}=FOLDER" for key in missing)
        raise DataNotFoundError(f"data={config.training_info.data} needs its photos: {due}")
    check_config(config, TrainOptions)
    if config.trainer.max_steps != -1:
        steps = " and ".join(
            f"recipe.{key}" for key in config.recipe if str(key).endswith("steps") and "init" not in key
        )
        raise OptionError(f"trainer.max_steps={config.trainer.max_steps}: how long this model trains is {steps}")
    beginnings = [name for name in ("ckpt_path", "init_from", "base_checkpoint") if config[name] is not None]
    if len(beginnings) > 1:
        raise OptionError(f"{' and '.join(beginnings)} exclude each other: one beginning")
