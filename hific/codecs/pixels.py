"""Pixels between the outside, uint8 [H, W, 3], and the networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hific.codecs.base import ImageLike
from hific.errors import CheckpointError
from hific.io.read_image import to_rgb8

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


def as_rgb8(image: ImageLike) -> Pixels:
    """A PIL image of any mode, or the array itself, as uint8 [H, W, 3]. Raises TypeError or ValueError for all else."""
    if isinstance(image, Image.Image):
        return to_rgb8(image).array
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"an image is a PIL image or a uint8 array [H, W, 3], not a {type(image).__name__}: open files with "
            "PIL.Image.open"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"an image is uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    return image


def to_unit_range(pixels: Pixels, device: torch.device) -> Tensor:
    """uint8 [H, W, 3] to float32 [1, 3, H, W] in [0, 1], channels_last."""
    return torch.tensor(pixels, device=device)[None].permute(0, 3, 1, 2).float() / 255


def from_unit_range(image: Tensor) -> Pixels:
    """[1, 3, H, W], about [0, 1], to uint8 [H, W, 3]. CheckpointError for what is no image: not finite."""
    if not bool(torch.isfinite(image).all()):
        raise CheckpointError(
            "the model draws what is no image (not finite): its training diverged, its checkpoint is damaged, or the "
            "precision is too low for it"
        )
    levels = (image[0].float() * 255).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()
