"""HiFiC's networks: encoder E, generator G and the hyperprior's.

Mentzer et al. 2020, figure 2; widths 60, 120, 240, 480, 960, C = 220 and nine residual blocks there.

    x [B, 3, H, W] in [0, 1] ─ c7s1-60 ─ c3s2-120 ─ c3s2-240 ─ c3s2-480 ─ c3s2-960 ─ c3s1-C ─ latent [B, C, H/16, W/16]
                                  each: convolution, ChannelNorm, ReLU                 bare

A latent sees `halo` pixels beyond its 16x16 on each side, and nothing further: ChannelNorm stays at its position.

    latent_hat [B, C, h, w] ─ norm ─ c3s1-960 ─ norm ─┬─ R960 x 9 ─ + ─ u480 ─ u240 ─ u120 ─ u60 ─ c7s1-3 ─ x_hat
                                                      └─────────────┘   each: transposed 3x3, norm, ReLU

x_hat [B, 3, 16h, 16w] is meant to lie in [0, 1], and is not forced to.

The hyperprior (Ballé et al. 2018, Minnen et al. 2018; N = 320 there):

    latent [B, C, h, w]        ─ c3s1-N ─ ReLU ─ c5s2-N ─ ReLU ─ c5s2-N ─── hyper_latent [B, N, ceil(h/4), ceil(w/4)]
    hyper_latent_hat, integers ─ u5s2-N ─ ReLU ─ u5s2-N ─ ReLU ─ c3s1-C ─── means; a second one of its kind: scales

The hyper-syntheses' output is cut to the h x w of the latent, at the right and the bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from hific.layers.blocks import (
    Activation,
    Normalization,
    ResidualBlock,
    activation_layer,
    conv_block,
    normalization_layer,
    run_blocks,
)
from hific.layers.fast_convolution import use_fast_convolutions
from hific.ops.images import laid_out_as


class HificAnalysis(nn.Module):
    """Image to latent; H and W multiples of 16."""

    # Of modules that are indexed below, which nn.Sequential's types do not know.
    stem: Any
    downs: Any
    head: Any

    def __init__(self, widths: Sequence[int], latent_channels: int, normalization: Normalization = "channel") -> None:
        super().__init__()
        self.stem = conv_block(3, widths[0], 7, normalization, padding_mode="zeros")
        self.downs = nn.Sequential(
            *(
                conv_block(inputs, outputs, 3, normalization, stride=2, padding_mode="zeros")
                for inputs, outputs in pairwise(widths)
            )
        )
        self.head = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)
        # ChannelNorm behind the stem keeps the direction of a pixel's features and drops their length: where the biases
        # are small beside the image's values, brightness has no place in it. Of a gain of 2 dB after 200 batches at
        # size=small this was half.
        nn.init.uniform_(self.stem[0].bias, -0.5, 0.5)
        use_fast_convolutions(self)
        # 3 of the stem, 1 + 2 + 4 + 8 of the strides, 16 of the head: 34 pixels, in whole latents.
        self.halo = 48
        # Of the features that take most memory, behind the stem.
        self.channels_per_pixel = widths[0]

    def forward(self, image: Tensor) -> Tensor:
        latent: Tensor = self.head(self.downs(self.stem(laid_out_as(image, self.stem[0].weight))))
        return latent


class HificSynthesis(nn.Module):
    """Latent to image. `widths` as of the analysis, from full resolution down."""

    # Of modules that are indexed below, which nn.Sequential's types do not know.
    head: Any
    blocks: Any
    ups: Any
    tail: Any
    recompute = False
    """Whether the backward pass computes activations of blocks anew, instead of their being kept."""

    def __init__(
        self,
        widths: Sequence[int],
        latent_channels: int,
        residual_blocks: int,
        normalization: Normalization = "channel",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        deepest = widths[-1]
        self.head = nn.Sequential(
            normalization_layer(normalization, latent_channels),
            nn.Conv2d(latent_channels, deepest, 3, padding=1),
            normalization_layer(normalization, deepest),
        )
        self.blocks = nn.Sequential(
            *(ResidualBlock(deepest, normalization, "zeros", activation) for _ in range(residual_blocks))
        )
        self.ups = nn.Sequential(
            *(
                nn.Sequential(
                    nn.ConvTranspose2d(widths[i + 1], widths[i], 3, stride=2, padding=1, output_padding=1),
                    normalization_layer(normalization, widths[i]),
                    activation_layer(activation),
                )
                for i in range(len(widths) - 2, -1, -1)
            )
        )
        self.tail = nn.Conv2d(widths[0], 3, 7, padding=3)
        self._start_simple()
        use_fast_convolutions(self)
        # Latents around a position that its pixels depend on: one a convolution at 1/16, and 2 for all that follows
        # (the transposed convolutions reach 1/2 + 1/4 + 1/8 + 1/16 of a latent to one side, the tail 3 pixels).
        self.halo = 1 + 2 * residual_blocks + 2

    @property
    def entry(self) -> Any:
        """The convolution that sees the latent."""
        return self.head[1]

    def forward(self, latent_hat: Tensor) -> Tensor:
        features = self.head(laid_out_as(latent_hat, self.entry.weight))
        features = features + run_blocks(self.blocks, features, recompute=self.recompute)
        reconstruction: Tensor = self.tail(run_blocks(self.ups, features, recompute=self.recompute))
        return reconstruction

    def _start_simple(self) -> None:
        """Blocks that add nothing yet, an image that is nearly gray: the other half of the gain (see the analysis).

        And transposed convolutions that interpolate: as they are made by default, the four phases of their output
        differ, which is seen as a grid until training has evened it out (1.5 dB after 50 batches, .4 after 100).
        """
        for block in self.blocks:
            convolution, norm = block.second
            last = convolution if isinstance(norm, nn.Identity) else norm
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        for up in self.ups:
            interpolate_(up[0].weight)
        with torch.no_grad():
            self.tail.weight.mul_(0.1)
            self.tail.bias.fill_(0.45)


def interpolate_(weight: Tensor) -> Tensor:
    """Fills a transposed convolution's weight [I, O, 3, 3] of stride 2 so that it mixes channels at random and doubles
    the resolution linearly, in place."""
    mixing = torch.empty_like(weight[:, :, 0, 0])
    nn.init.kaiming_normal_(mixing.t(), nonlinearity="relu")
    taps = torch.tensor([0.5, 1.0, 0.5], device=weight.device)
    with torch.no_grad():
        return weight.copy_(mixing[:, :, None, None] * torch.outer(taps, taps))


class HyperAnalysis(nn.Sequential):
    """Latent to hyper-latent, at a quarter of its resolution."""

    def __init__(self, latent_channels: int, hyper_channels: int) -> None:
        super().__init__(
            nn.Conv2d(latent_channels, hyper_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hyper_channels, hyper_channels, 5, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(hyper_channels, hyper_channels, 5, stride=2, padding=2),
        )


class HyperSynthesis(nn.Module):
    """Rounded hyper-latent to means, or to scales.

    `activation_range`: a buffer, float32 [2], the largest activation behind each of the two ReLUs: a running maximum of
    training passes that forgets slowly. The integer form of this network scales its activations by it.
    """

    FORGET = 0.999
    activation_range: Tensor

    def __init__(self, hyper_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.up1 = nn.ConvTranspose2d(hyper_channels, hyper_channels, 5, stride=2, padding=2, output_padding=1)
        self.up2 = nn.ConvTranspose2d(hyper_channels, hyper_channels, 5, stride=2, padding=2, output_padding=1)
        self.head = nn.Conv2d(hyper_channels, latent_channels, 3, padding=1)
        self.register_buffer("activation_range", torch.zeros(2))
        self.start_at(torch.zeros(latent_channels))

    @torch.no_grad()
    def start_at(self, output: Tensor) -> None:
        """What it says, [C], about, until it has learned better."""
        assert self.head.bias is not None
        self.head.bias.copy_(output)

    def forward(self, hyper_latent_hat: Tensor) -> Tensor:
        first, second = self._activations(hyper_latent_hat)
        if self.training:
            self._widen(first, second)
        output: Tensor = self.head(second)
        return output

    def forget_activation_range(self) -> None:
        """A little, before a batch of a training."""
        if self.training:
            self.activation_range.mul_(self.FORGET)

    def widen_activation_range(self, hyper_latent_hat: Tensor) -> None:
        """Takes the activations of one pass into `activation_range`."""
        with torch.no_grad():
            self._widen(*self._activations(hyper_latent_hat))

    @torch.no_grad()
    def _widen(self, first: Tensor, second: Tensor) -> None:
        # In place: DDP and checkpoints know the buffer by its storage.
        largest = torch.stack((first.detach().amax(), second.detach().amax())).to(self.activation_range)
        self.activation_range.copy_(torch.maximum(self.activation_range, largest))

    def _activations(self, hyper_latent_hat: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.relu(self.up1(hyper_latent_hat))
        return first, torch.relu(self.up2(first))
