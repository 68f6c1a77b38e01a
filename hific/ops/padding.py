"""Padding to the sizes that the transforms accept: a rule of the file format (right and bottom, edges repeated)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
