"""Reconstructions of validation images, side by side with their originals, as PNG files and in the loggers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor


class ReconstructionImages(Callback):
    """After each validation: original left, reconstruction right, at [0, 1] without any stretch of contrast."""

    def __init__(self, dirpath: str | Path, max_images: int = 4) -> None:
        self.folder = Path(dirpath)
        self.max_images = max_images

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx >= self.max_images or trainer.sanity_checking or not trainer.is_global_zero:
            return
        reconstruction = pl_module.reconstruct(batch)  # type: ignore[operator]
        pair = torch.cat((batch, reconstruction), dim=-1)[0]
        picture = (pair.float() * 255).round().clamp(0, 255).byte().movedim(0, -1).cpu().numpy()
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(self.folder / f"{batch_idx:02d}_step{trainer.global_step:07d}.png")
        for logger in trainer.loggers:
            name = f"reconstruction/{batch_idx:02d}"
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image(name, [Image.fromarray(picture)], step=trainer.global_step)
