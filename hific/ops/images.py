"""Images as tensors: from pixels and back, padding to whole latents, views moved at random."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hific.errors import CheckpointError


def to_unit_range(pixels: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> Tensor:
    """uint8 [H, W, 3] to float32 [1, 3, H, W] in [0, 1], channels_last."""
    return torch.tensor(pixels, device=device)[None].permute(0, 3, 1, 2).float() / 255


def from_unit_range(image: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """[1, 3, H, W], about [0, 1], to uint8 [H, W, 3]. CheckpointError for what is no image: not finite."""
    if not bool(torch.isfinite(image).all()):
        raise CheckpointError(
            "the model draws what is no image (not finite): its training diverged, its checkpoint is damaged, or the "
            "precision is too low for it"
        )
    levels = (image[0].float() * 255).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def laid_out_as(features: Tensor, weight: Tensor) -> Tensor:
    """Features [B, C, H, W] in the memory format of the convolution's weight [O, C, k, k] that they meet."""
    is_last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    return features.contiguous(memory_format=torch.channels_last if is_last else torch.contiguous_format)


def padded_size(length: int, multiple: int, minimum: int) -> int:
    """The smallest multiple of `multiple` that is at least `length` and at least `minimum`."""
    return -(-max(length, minimum) // multiple) * multiple


def pad_to_multiple(image: Tensor, multiple: int, minimum: int = 0) -> Tensor:
    """Pads [B, C, H, W] at the right and the bottom by repeating the edge; any H, W >= 1 (1x1 too)."""
    height, width = image.shape[-2:]
    bottom = padded_size(height, multiple, minimum) - height
    right = padded_size(width, multiple, minimum) - width
    if bottom == 0 and right == 0:
        return image
    return F.pad(image, (0, right, 0, bottom), mode="replicate")


def shifted_crop(tensors: tuple[Tensor, ...], shift: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Cuts the same window, smaller by `shift` in height and width at a random offset, out of [B, C, H, W] tensors.

    A judge with strides has places that it hardly sees; a model that is judged at one offset only learns to hide
    errors there, as a texture with the judge's period. Judged at random offsets, it cannot.
    """
    height, width = tensors[0].shape[-2:]
    if shift <= 0 or min(height, width) <= 2 * shift:
        return tensors
    top, left = torch.randint(0, shift + 1, (2,), generator=generator).tolist()
    return tuple(t[..., top : top + height - shift, left : left + width - shift] for t in tensors)
