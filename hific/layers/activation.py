"""Which nonlinearity stands behind a normalization."""

from __future__ import annotations

from typing import Literal

from torch import nn

from hific.errors import OptionError

Activation = Literal["relu", "leaky_relu"]


def activation_layer(kind: Activation) -> nn.Module:
    """ReLU, or LeakyReLU with a slope of .2 below zero."""
    if kind == "relu":
        return nn.ReLU(inplace=True)
    if kind == "leaky_relu":
        return nn.LeakyReLU(0.2, inplace=True)
    raise OptionError(f"activation={kind!r} is none of relu, leaky_relu")
