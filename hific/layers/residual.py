"""The residual block R_k: two 3x3 convolutions and a way around them."""

from __future__ import annotations

from torch import Tensor, nn

from hific.layers.activation import Activation
from hific.layers.convolution import PaddingMode, conv_block
from hific.layers.normalization import Normalization, normalization_layer


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
