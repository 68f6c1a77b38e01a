"""What a metric is, what stands for one that cannot be computed, and how images reach the libraries.

Metrics are taken on decoded 8-bit images: uint8 [H, W, 3], sRGB, both of one size. A metric that cannot be computed is
absent with its reason: never 0, NaN or a stand-in under its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Absent:
    """Takes the place of a metric's value. for_now: the next attempt may go well, as of a program that failed."""

    reason: str
    for_now: bool = False

    def __str__(self) -> str:
        return f"absent: {self.reason}"


def smaller_than(image: np.ndarray, minimum: int) -> Absent | None:
    """Absent where a side of the image [H, W, 3] is below what the metric needs, else None."""
    height, width = image.shape[:2]
    if min(height, width) < minimum:
        return Absent(f"a {width}x{height} image is below {minimum} pixels on a side")
    return None


def no_weights(name: str) -> Absent:
    """Absent because the pretrained network is not at hand."""
    return Absent(f"no {name} weights (name their folder by weights.dir or HIFIC_WEIGHTS)")


class ImageMetric(Protocol):
    """One number from an image and its reconstruction."""

    @property
    def name(self) -> str: ...

    @property
    def higher_is_better(self) -> bool: ...

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent: ...


class SetMetric(Protocol):
    """Numbers from a set of images and their reconstructions; one object measures one set."""

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None: ...

    def compute(self) -> dict[str, float | Absent]: ...


def check_pair(image: np.ndarray, reconstruction: np.ndarray) -> None:
    """ValueError unless both are uint8 [H, W, 3] of one size."""
    for array in (image, reconstruction):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
            raise ValueError(f"a metric needs uint8 images [H, W, 3], got {array.dtype} {array.shape}")
    if image.shape != reconstruction.shape:
        raise ValueError(f"image {image.shape} and reconstruction {reconstruction.shape} differ in size")


def as_tensor(image: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """uint8 [H, W, 3] to float32 [1, 3, H, W] in 0..255, laid out as channels_last: networks are faster so."""
    # a copy: torch warns of read-only arrays, as Pillow hands them out
    return torch.from_numpy(image.copy()).permute(2, 0, 1).unsqueeze(0).to(device).float()


def as_signed_tensor(image: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """uint8 [H, W, 3] to float32 [1, 3, H, W] in [-1, 1]."""
    return as_tensor(image, device) / 127.5 - 1
