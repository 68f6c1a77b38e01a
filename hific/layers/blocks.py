"""What networks are built of: a convolution with its normalization and nonlinearity, and the residual block."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from hific.errors import OptionError
from hific.layers.channel_norm import ChannelNorm

Activation = Literal["relu", "leaky_relu"]


def activation_layer(kind: Activation) -> nn.Module:
    """ReLU, or LeakyReLU with a slope of .2 below zero."""
    if kind == "relu":
        return nn.ReLU(inplace=True)
    if kind == "leaky_relu":
        return nn.LeakyReLU(0.2, inplace=True)
    raise OptionError(f"activation={kind!r} is none of relu, leaky_relu")


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


PaddingMode = Literal["reflect", "zeros"]


def conv_block(
    inputs: int,
    outputs: int,
    kernel: int,
    normalization: Normalization,
    stride: int = 1,
    padding_mode: PaddingMode = "reflect",
    activation: Activation = "relu",
) -> nn.Sequential:
    """c{kernel}s{stride}-{outputs}: padding of kernel // 2 (reflection in CompressNet, zeros in HiFiC), then
    normalization, then the nonlinearity."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, padding_mode=padding_mode)
    return nn.Sequential(conv, normalization_layer(normalization, outputs), activation_layer(activation))


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), all of `channels` channels; [B, k, h, w] -> the same shape."""

    def __init__(
        self,
        channels: int,
        normalization: Normalization,
        padding_mode: PaddingMode = "reflect",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.first = conv_block(channels, channels, 3, normalization, 1, padding_mode, activation)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding_mode),
            normalization_layer(normalization, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.first(features))
