"""Which normalization stands behind a convolution."""

from __future__ import annotations

from typing import Literal

from torch import nn

from hific.layers.channel_norm import ChannelNorm

Normalization = Literal["instance", "channel", "none"]


def normalization_layer(kind: Normalization, channels: int) -> nn.Module:
    """`instance`: over the positions of each channel (affine); `channel`: over the channels of each position."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "channel":
        return ChannelNorm(channels)
    return nn.Identity()
