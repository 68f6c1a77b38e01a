"""Upsampling by two: sub-pixel convolution with ICNR, or a transposed convolution (compressnet, section 4.1)."""

from __future__ import annotations

from typing import Literal

import torch
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
