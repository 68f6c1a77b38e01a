"""ChannelNorm: normalization over the channels of each position (Mentzer et al. 2020, section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over C at every position of [B, C, H, W].

    The variance is the unbiased one, as in the reference. Because nothing is pooled over positions, a tile of an
    image is normalized as it is inside the whole image, and brightness and hue survive where InstanceNorm removes
    them. One fused pass: the biased `layer_norm` over the last axis of a channels_last tensor, rescaled.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        # var_unbiased + eps = (var_biased + eps_biased) * C / (C - 1)
        self.unbias = ((channels - 1) / channels) ** 0.5
        self.eps = eps * (channels - 1) / channels

    def forward(self, features: Tensor) -> Tensor:
        last = features.permute(0, 2, 3, 1)
        normalized = F.layer_norm(last, (self.channels,), self.weight * self.unbias, self.bias, self.eps)
        return normalized.permute(0, 3, 1, 2)
