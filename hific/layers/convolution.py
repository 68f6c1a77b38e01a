"""Convolution, normalization, ReLU: the block of Wang et al. 2018 that CompressNet is made of."""

from __future__ import annotations

from torch import nn

from hific.layers.normalization import Normalization, normalization_layer


def conv_norm_relu(
    inputs: int, outputs: int, kernel: int, normalization: Normalization, stride: int = 1
) -> nn.Sequential:
    """c{kernel}s{stride}-{outputs}: reflection padding of kernel // 2, then normalization, then ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, padding_mode="reflect")
    return nn.Sequential(conv, normalization_layer(normalization, outputs), nn.ReLU(inplace=True))
