"""Trains one model: compose, instantiate, fit, test. `python train.py --help` lists the options."""

from __future__ import annotations

import logging
import sys
from typing import NamedTuple

import hydra
from hydra.utils import instantiate
from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from hific.cli import INTERRUPTED
from hific.errors import DataNotFoundError, OptionError, exit_on_user_error
from hific.ops.keep_memory import keep_freed_memory
from hific.training.callbacks.graceful_stop import GracefulStop
from hific.training.quiet import silence_known_messages
from hific.training.resume import check_resume, keep_earlier_metrics
from hific.training.slow_precision import warn_of_slow_precision

log = logging.getLogger(__name__)
OmegaConf.register_new_resolver("add", lambda *terms: sum(terms), replace=True)
# A number, or 0 where the first argument says that there is nothing to do.
OmegaConf.register_new_resolver("unless", lambda given, number: 0 if given else number, replace=True)


class Outcome(NamedTuple):
    """Of a run. metrics: the last value of every logged one; interrupted: by a signal, before its last batch."""

    metrics: dict[str, float]
    interrupted: bool


def check_choices(config: DictConfig) -> None:
    """Raises OptionError for a predictor that does not exist, which elsewhere is an interpolation that fails."""
    for option, group in (("coding", "neighbor"), ("refine", "refinement")):
        chosen = config.model.get(option)
        if chosen is not None and chosen not in config[group]:
            raise OptionError(f"model.{option}={chosen} is none of {', '.join(map(str, config[group]))}")


def train(config: DictConfig) -> Outcome:
    """Runs the composed configuration."""
    check_choices(config)
    if OmegaConf.is_missing(config.data, "root"):
        raise DataNotFoundError("this data set needs its folder: data.root=FOLDER")
    silence_known_messages()
    keep_freed_memory()
    seed_everything(config.seed, workers=True, verbose=False)
    datamodule: LightningDataModule = instantiate(config.data)
    datamodule.setup("fit")  # what is missing on the disk is told before anything slow
    module: LightningModule = instantiate(config.model)
    loggers = list(instantiate(config.logger).values())
    callbacks = list(instantiate(config.callbacks).values())
    trainer: Trainer = instantiate(config.trainer, logger=loggers, callbacks=callbacks)
    warn_of_slow_precision(trainer)
    if config.ckpt_path is not None:
        step = check_resume(config.ckpt_path, module, trainer.max_steps)
        log.info("going on from batch %d", step)
        if trainer.is_global_zero:
            keep_earlier_metrics(config.output_dir, step)
    trainer.fit(module, datamodule, ckpt_path=config.ckpt_path, weights_only=True)
    metrics = dict(trainer.callback_metrics)
    interrupted = any(isinstance(callback, GracefulStop) and callback.requested for callback in callbacks)
    if config.test and not trainer.should_stop:
        trainer.test(module, datamodule)
        metrics |= trainer.callback_metrics
    if trainer.is_global_zero and not trainer.fast_dev_run:
        done = "stopped" if trainer.should_stop else "done"
        log.info("%s after %d batches; the run is in %s", done, trainer.global_step, config.output_dir)
        if trainer.should_stop:
            log.info("to go on, repeat the options with ckpt_path=%s/last.ckpt", config.output_dir)
    return Outcome({name: float(value) for name, value in metrics.items()}, interrupted)


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> None:
    with exit_on_user_error(MisconfigurationException):
        outcome = train(config)
    if outcome.interrupted:
        sys.exit(INTERRUPTED)  # a script that trains and then goes on stops here


if __name__ == "__main__":
    main()
