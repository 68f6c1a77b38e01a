"""Which normalization stands behind a convolution."""

from __future__ import annotations

from typing import Literal

from torch import nn

from hific.errors import OptionError
from hific.layers.channel_norm import ChannelNorm

Normalization = Literal["instance", "channel", "batch", "none"]


def normalization_layer(kind: Normalization, channels: int) -> nn.Module:
    """`instance`: over the positions of each channel (affine); `channel`: over the channels of each position; `batch`:
    over the positions of the whole batch, by running statistics in use."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "channel":
        return ChannelNorm(channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    raise OptionError(f"normalization={kind!r} is none of instance, channel, batch, none")
