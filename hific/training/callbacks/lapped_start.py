"""The lapped start, once, before training begins."""

from __future__ import annotations

import logging

from lightning import Callback, LightningModule, Trainer

from hific.data.image_datamodule import ImageDataModule
from hific.models.lapped_start import fit_lapped_start, is_linear_start
from hific.ops.geometry import pad_to_multiple
from hific.training.hific_module import HificModule

log = logging.getLogger(__name__)


class LappedStart(Callback):
    """Fits a linear start to `num_photos` whole training photos (models/lapped_start.py); `steps` of 0 leaves that
    out. Models that are not at a linear start, or go on from elsewhere, are left as they are.

    The first rank does it, and gives its weights to the others.
    """

    def __init__(self, num_photos: int = 96, steps: int = 400) -> None:
        self.num_photos, self.steps = num_photos, steps

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        if not self.steps or trainer.fast_dev_run or trainer.max_steps == 0:
            return
        if not isinstance(datamodule, ImageDataModule) or not isinstance(pl_module, HificModule):
            return
        # A resumed training has its weights by now.
        model, mse_weight = pl_module.model, pl_module.weights.mse
        if not is_linear_start(model) or mse_weight <= 0:
            return
        if trainer.is_global_zero:
            log.info("fitting the linear start to up to %d whole training photos", self.num_photos)
            photos = (
                pad_to_multiple(photo.to(pl_module.device), model.stride, model.minimum_size)
                for photo in datamodule.whole_train_photos(self.num_photos)
            )
            fit_lapped_start(model, photos, mse_weight=mse_weight, steps=self.steps, seed=pl_module.seed)
        model.load_state_dict(trainer.strategy.broadcast(model.state_dict()))
        if pl_module.ema is not None:
            pl_module.ema.restart(model.synthesis)
