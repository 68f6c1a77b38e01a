"""Max-pooling that remembers where the maximum was, and its inverse (Zhao et al. 2015: what and where).

A 2x2 window is numbered   0 1      A switch is the number of the window's largest value;
                           2 3      of equal values the lowest number.

Windows of a [B, C, H, W] map are kept as [B, C, H/2, W/2]; switches are int64 of that shape.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Pooled(NamedTuple):
    """`values`: the maxima, [B, C, H/2, W/2]; `switches`: where they were; `tied`: bool, the maximum occurs twice."""

    values: Tensor
    switches: Tensor
    tied: Tensor


def windows_2x2(features: Tensor) -> Tensor:
    """[B, C, H, W] with even H, W -> [B, C, 4, H/2, W/2]: the four members of each window, in the order above."""
    return torch.stack(
        (
            features[..., 0::2, 0::2],
            features[..., 0::2, 1::2],
            features[..., 1::2, 0::2],
            features[..., 1::2, 1::2],
        ),
        dim=2,
    )


def max_pool_with_switches(features: Tensor) -> Pooled:
    """Pools 2x2. Where ties are wide-spread (zeros after a ReLU) a switch means nothing: `tied` says where."""
    width = features.shape[-1]
    values, flat = F.max_pool2d(features, 2, return_indices=True)
    # torch returns y * W + x of the maximum.
    switches = 2 * ((flat // width) & 1) + (flat & 1)
    with torch.no_grad():
        tied = (windows_2x2(features) == values.unsqueeze(2)).sum(2) > 1
    return Pooled(values, switches, tied)


def max_unpool(values: Tensor, switches: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, C, 2h, 2w]: each value at its switch's place, zeros elsewhere."""
    # The members of a window, in this order, are what PixelShuffle interleaves.
    members = torch.stack([torch.where(switches == place, values, 0.0) for place in range(4)], dim=2)
    return F.pixel_shuffle(members.flatten(1, 2), 2)
