"""Lapped-transform initialization, once, before training begins."""

from __future__ import annotations

import logging

from lightning import Callback, LightningModule, Trainer

from hific.data.image_datamodule import ImageDataModule
from hific.models.lapped_initialization import initialize_lapped, is_klt_initialized
from hific.ops.padding import pad_to_multiple
from hific.training.hific_module import HificModule

log = logging.getLogger(__name__)


class LappedInitialization(Callback):
    """Fits what a HiFiC with `initialization=lapped` begins as to whole training photos. Models that go on from
    elsewhere are left as they are.

    The first rank does it, and gives its weights to the others.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        if (
            trainer.fast_dev_run  # type: ignore[attr-defined]
            or not isinstance(datamodule, ImageDataModule)
            or not isinstance(pl_module, HificModule)
        ):
            return
        # A resumed training has its weights by now.
        model, mse_weight = pl_module.model, pl_module.objective.weights.mse
        initialization = pl_module.initialization
        if initialization.kind != "lapped" or not is_klt_initialized(model) or mse_weight <= 0:
            return
        if trainer.is_global_zero:
            log.info("fitting a lapped transform to up to %d whole training photos", initialization.num_photos)
            photos = (
                pad_to_multiple(photo.to(pl_module.device), model.stride, model.minimum_size)
                for photo in datamodule.whole_train_photos(initialization.num_photos)
            )
            initialize_lapped(model, photos, mse_weight=mse_weight, steps=initialization.steps, seed=pl_module.seed)
        model.load_state_dict(trainer.strategy.broadcast(model.state_dict()))
        if pl_module.ema is not None:
            pl_module.ema.restart(model.synthesis)
