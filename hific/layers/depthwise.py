"""A residual block that looks around one channel at a time, and mixes channels at one position at a time.

    x [B, k, h, w] ─┬─ 1x1 to 2k ─ ReLU ─ 3x3 of each channel ─ ReLU ─ 1x1 to k ─ + ─ [B, k, h, w]
                    └──────────────────────────────────────────────────────────────┘

The inverted residual of MobileNetV2 (Sandler et al. 2018), without its norms; what transforms of fast learned codecs
are made of (Jia et al. 2025, DCVC-RT). It takes 4·k² multiplications a position, two dense 3x3 18·k².
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EXPANSION = 2


class DepthwiseBlock(nn.Module):
    """[B, k, h, w] -> the same shape. Starts as the identity: the last convolution is zero, and the 3x3 passes its
    input on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.widen = nn.Conv2d(channels, hidden, 1)
        self.around = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = nn.Conv2d(hidden, channels, 1)
        self.activation = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.around.weight.mul_(0.5)[:, :, 1, 1] += 1
        nn.init.zeros_(self.narrow.weight)
        assert self.narrow.bias is not None
        nn.init.zeros_(self.narrow.bias)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.activation(self.around(self.activation(self.widen(features))))
        return features + self.narrow(hidden)


def depthwise_blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(DepthwiseBlock(channels) for _ in range(count)))
