"""The residual block R_k: two 3x3 convolutions and a way around them."""

from __future__ import annotations

from torch import Tensor, nn

from hific.layers.convolution import conv_norm_relu
from hific.layers.normalization import Normalization, normalization_layer


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), all of `channels` channels; [B, k, h, w] -> the same shape."""

    def __init__(self, channels: int, normalization: Normalization) -> None:
        super().__init__()
        self.first = conv_norm_relu(channels, channels, 3, normalization)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            normalization_layer(normalization, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.first(features))
