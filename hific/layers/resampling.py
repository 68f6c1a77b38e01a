"""Halving and doubling of resolution: sub-pixel and transposed convolutions; max-pooling that remembers where.

A 2x2 window is numbered   0 1      A switch is the number of the window's largest value;
                           2 3      of equal values the lowest number.

Windows of a [B, C, H, W] map are kept as [B, C, H/2, W/2]; switches are int64 of that shape.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["sub_pixel", "transposed"]


def icnr_(weight: Tensor, factor: int = 2) -> Tensor:
    """Starts the factor^2 filters that PixelShuffle interleaves as copies of one (Aitken et al. 2017), in place.

    Then the first output is a nearest-neighbor enlargement, without a checkerboard.
    """
    outputs = weight.shape[0] // factor**2
    filters = torch.empty_like(weight[:outputs])
    nn.init.kaiming_normal_(filters, nonlinearity="linear")
    with torch.no_grad():
        # PixelShuffle takes channels k*r^2 ... k*r^2 + r^2 - 1 for output channel k.
        return weight.copy_(filters.repeat_interleave(factor**2, dim=0))


class SubPixelUpsampling(nn.Module):
    """[B, k, h, w] -> [B, k, 2h, 2w]: 3x3 convolution k to 4k, then PixelShuffle; no norm or activation after it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * channels, 3, padding=1, padding_mode="reflect")
        icnr_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, features: Tensor) -> Tensor:
        return self.shuffle(self.conv(features))


def upsampling_layer(kind: Upsampling, channels: int) -> nn.Module:
    """The layer that doubles height and width and keeps the channels."""
    if kind == "sub_pixel":
        return SubPixelUpsampling(channels)
    return nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)


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
