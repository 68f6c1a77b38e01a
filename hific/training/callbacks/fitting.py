"""What is fitted to whole photos: an initialization before the first batch, the coding after the last."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hific.data.image_datamodule import ImageDataModule
from hific.models.lapped_initialization import initialize_lapped, is_klt_initialized
from hific.ops.geometry import pad_to_multiple
from hific.training.adversarial_module import AdversarialModule
from hific.training.coding_module import CodingModule
from hific.training.hific_module import HificModule

log = logging.getLogger(__name__)


class FitCodingTables(Callback):
    """Shows the finished model whole training photos, on whose latents last.ckpt's coding is fitted: tables on up to
    `num_photos`, a context model and a post-filter on as many as they ask for.

    Checkpoints on the way are fitted on the latents of training crops, which costs nothing but knows too much of
    borders and of earlier weights: on a demo model whole photos gave .36 bits a symbol, its history .68. Stands before
    `LastCheckpoint` in the list of callbacks.
    """

    def __init__(self, num_photos: int = 96) -> None:
        self.num_photos = num_photos

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Without a batch to train on, Lightning tells of no training's end.
        if trainer.max_steps == 0:
            self.on_train_end(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Nor where a run that was killed while this was going on is taken up again.
        if isinstance(pl_module, AdversarialModule) and pl_module.awaits_fitting:
            self.on_train_end(trainer, pl_module)

    @torch.inference_mode()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        if trainer.fast_dev_run or not isinstance(datamodule, ImageDataModule):  # type: ignore[attr-defined]
            return
        if not isinstance(pl_module, CodingModule):
            raise TypeError(f"FitCodingTables serves CodingModule, not {type(pl_module).__name__}")
        count = max(self.num_photos, pl_module.fitting.num_photos)
        log.info("fitting what files are coded with to up to %d whole training photos", count)
        whole, device = datamodule.whole_train_photos, pl_module.device
        pl_module.fit_coding(lambda count: _OnDevice(whole(count), device), self.num_photos)


@dataclass(frozen=True)
class _OnDevice:
    photos: Iterable[Tensor]
    device: torch.device

    def __iter__(self) -> Iterator[Tensor]:
        return (photo.to(self.device) for photo in self.photos)


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
