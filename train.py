"""Trains one model: compose, instantiate, fit, test. `python train.py --help` lists the options."""

from __future__ import annotations

import hydra
from hydra.utils import instantiate
from lightning import LightningDataModule, LightningModule, Trainer, seed_everything
from omegaconf import DictConfig, MissingMandatoryValue

from hific.data.source import DataNotFoundError
from hific.training.finite import NonFiniteError
from hific.training.init_from import InitFromError
from hific.user_errors import told_in_a_line
from hific.weights import WeightsFileError, WeightsNotFoundError


def train(config: DictConfig) -> dict[str, float]:
    """Runs the composed configuration; returns the last value of every logged metric."""
    seed_everything(config.seed, workers=True, verbose=False)
    datamodule: LightningDataModule = instantiate(config.data)
    module: LightningModule = instantiate(config.model)
    loggers = list(instantiate(config.logger).values())
    callbacks = list(instantiate(config.callbacks).values())
    trainer: Trainer = instantiate(config.trainer, logger=loggers, callbacks=callbacks)
    trainer.fit(module, datamodule, ckpt_path=config.ckpt_path, weights_only=True)
    metrics = dict(trainer.callback_metrics)
    if config.test and not trainer.should_stop:
        trainer.test(module, datamodule)
        metrics |= trainer.callback_metrics
    return {name: float(value) for name, value in metrics.items()}


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(config: DictConfig) -> None:
    with told_in_a_line(
        DataNotFoundError, InitFromError, MissingMandatoryValue, NonFiniteError, WeightsFileError, WeightsNotFoundError
    ):
        train(config)


if __name__ == "__main__":
    main()
