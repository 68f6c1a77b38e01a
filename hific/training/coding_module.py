"""What callbacks and train.py ask of a module: that it reconstructs, and that its files' coding is fitted to photos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from hific.training.fitting import Fitting, Photos


def to_256_levels(image: Tensor) -> Tensor:
    """[0, 1] as an 8-bit file would hold it."""
    return (image.clamp(0, 1) * 255).round() / 255


class CodingModule(LightningModule, ABC):
    """name: the system's key in configuration and results; steps: batches to train; training_info: plain values that
    the checkpoint keeps."""

    steps: int

    def __init__(self, *, name: str, fitting: Fitting, training_info: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.name = name
        self.fitting = fitting
        self.training_info = dict(training_info or {})

    @abstractmethod
    def reconstruct(self, batch: Tensor) -> Tensor:
        """Images [B, 3, H, W] of any size in [0, 1] -> reconstructions at 256 levels, in [0, 1]."""

    @abstractmethod
    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        """Makes what files are coded with, when training has ended: tables from up to `num_photos` photos, a context
        model and a post-filter from as many as they ask for."""

    @abstractmethod
    def measure(self, batch: Tensor, stage: str) -> None:
        """Logs what a whole photo [1, 3, H, W] says of the model."""

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.measure(batch, "val")

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.measure(batch, "test")

    def log_psnr(self, reconstruction: Tensor, batch: Tensor, stage: str) -> None:
        error = (reconstruction - batch).square().mean()
        psnr = -10 * torch.log10(error.clamp(min=1e-10))
        self.log(f"{stage}/psnr", psnr, prog_bar=True, sync_dist=True, batch_size=1)
