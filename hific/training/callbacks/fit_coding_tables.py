"""Coding tables from whole photos, once, when training ends."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hific.data.image_datamodule import ImageDataModule
from hific.training.coding_module import CodingModule

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

    @torch.inference_mode()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        if trainer.fast_dev_run or not isinstance(datamodule, ImageDataModule):  # type: ignore[attr-defined]
            return
        if not isinstance(pl_module, CodingModule):
            raise TypeError(f"FitCodingTables serves CodingModule, not {type(pl_module).__name__}")
        fits = (pl_module.fitting.context_model, pl_module.fitting.postfilter)
        counts = [self.num_photos, *(one.num_photos for one in fits if one.fit is not None)]
        log.info("fitting what files are coded with to up to %d whole training photos", max(counts))
        whole, device = datamodule.whole_train_photos, pl_module.device
        pl_module.fit_coding(lambda count: _OnDevice(whole(count), device), self.num_photos)


@dataclass(frozen=True)
class _OnDevice:
    photos: Iterable[Tensor]
    device: torch.device

    def __iter__(self) -> Iterator[Tensor]:
        return (photo.to(self.device) for photo in self.photos)
