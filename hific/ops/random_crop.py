"""One random offset for several tensors."""

from __future__ import annotations

import torch
from torch import Tensor


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
