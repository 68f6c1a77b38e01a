"""HiFiC's encoder E (Mentzer et al. 2020, figure 2; widths 60, 120, 240, 480, 960 and C = 220 there).

    x [B, 3, H, W] in [0, 1] ─ c7s1-60 ─ c3s2-120 ─ c3s2-240 ─ c3s2-480 ─ c3s2-960 ─ c3s1-C ─ latent [B, C, H/16, W/16]
                                  each: convolution, ChannelNorm, ReLU                 bare

A latent sees `HALO` pixels beyond its 16x16 on each side, and nothing further: ChannelNorm stays at its position.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hific.layers.blocks import Normalization, conv_block
from hific.layers.fast_convolution import use_fast_convolutions


class HificAnalysis(nn.Module):
    """Image to latent; H and W multiples of 16."""

    # Of modules that are indexed below, which nn.Sequential's types do not know.
    stem: Any
    downs: Any
    head: Any

    def __init__(self, widths: Sequence[int], latent_channels: int, normalization: Normalization = "channel") -> None:
        super().__init__()
        self.stem = conv_block(3, widths[0], 7, normalization, padding_mode="zeros")
        self.downs = nn.Sequential(
            *(
                conv_block(inputs, outputs, 3, normalization, stride=2, padding_mode="zeros")
                for inputs, outputs in pairwise(widths)
            )
        )
        self.head = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)
        # ChannelNorm behind the stem keeps the direction of a pixel's features and drops their length: where the biases
        # are small beside the image's values, brightness has no place in it. Of a gain of 2 dB after 200 batches at
        # size=small this was half.
        nn.init.uniform_(self.stem[0].bias, -0.5, 0.5)
        use_fast_convolutions(self)

    def forward(self, image: Tensor) -> Tensor:
        latent: Tensor = self.head(self.downs(self.stem(image.contiguous(memory_format=torch.channels_last))))
        return latent

    # 3 of the stem, 1 + 2 + 4 + 8 of the strides, 16 of the head: 34 pixels, in whole latents.
    HALO = 48
