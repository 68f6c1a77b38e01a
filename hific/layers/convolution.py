"""Convolution, normalization, nonlinearity: the block of Wang et al. 2018 that all transforms are made of."""

from __future__ import annotations

from typing import Literal

from torch import nn

from hific.layers.activation import Activation, activation_layer
from hific.layers.normalization import Normalization, normalization_layer

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
