"""Transforms that never hold the image's full resolution: patches of 8x8 pixels in, patches of 8x8 pixels out.

    x [B, 3, H, W] ─ less .5 ─ patches of 8x8, 1x1 to k8 ─ D x n8 ─ 2x2 to one, 1x1 to k16 ─ D x n16 ─ c3s1-C ─ latent
    latent_hat [B, C, h, w] ─ c3s1-k16 ─ D x n16 ─ 1x1, one to 2x2 of k8 ─ D x n8 ─ 1x1 to patches of 8x8 ─ plus .5

D: layers/blocks.py. Nothing but the blocks' inner layers has a nonlinearity, and a block begins as the identity: the
untrained pair is a linear transform coder as soon as its outer layers are one (networks/klt_initialization.py).
On a CPU HiFiC's own layers (Mentzer et al. 2020) at size=small spend as long at full resolution, in 16 channels, as in
all of their blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from hific.layers.blocks import EXPANSION, depthwise_blocks, run_blocks

PATCH = 8


class PatchAnalysis(nn.Module):
    """Image [B, 3, H, W] in [0, 1] to latent [B, C, H/16, W/16]; H and W multiples of 16.

    widths, blocks: at 1/8 and at 1/16 of the resolution.
    """

    def __init__(self, widths: Sequence[int], latent_channels: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3 * PATCH**2, widths[0], 1)
        self.fine = depthwise_blocks(widths[0], blocks[0])
        self.down = nn.Conv2d(4 * widths[0], widths[1], 1)
        self.coarse = depthwise_blocks(widths[1], blocks[1])
        self.head = nn.Conv2d(widths[1], latent_channels, 3, padding=1)
        # Pixels that a latent sees beyond its own 16x16, in whole latents: 8 a block at 1/8, 16 a block at 1/16 and
        # of the head.
        self.halo = 16 * _halo_in_latents(blocks)
        # A block's hidden features at 1/8, before and behind a convolution, or the image as patches, likewise.
        self.channels_per_pixel = -(-2 * max(3 * PATCH**2, EXPANSION * widths[0]) // PATCH**2)

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine(self.embed(_channels_last(pixel_unshuffle(image - 0.5, PATCH))))
        latent: Tensor = self.head(self.coarse(self.down(_channels_last(pixel_unshuffle(fine, 2)))))
        return latent


class PatchSynthesis(nn.Module):
    """Latent [B, C, h, w] to image [B, 3, 16h, 16w], about [0, 1]. `widths` and `blocks` as of the analysis."""

    recompute = False
    """Whether the backward pass computes activations of blocks anew, instead of their being kept."""

    def __init__(self, widths: Sequence[int], latent_channels: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.entry = nn.Conv2d(latent_channels, widths[1], 3, padding=1)
        self.coarse = depthwise_blocks(widths[1], blocks[1])
        self.up = nn.Conv2d(widths[1], 4 * widths[0], 1)
        self.fine = depthwise_blocks(widths[0], blocks[0])
        self.tail = nn.Conv2d(widths[0], 3 * PATCH**2, 1)
        # Latents around a position that its pixels depend on.
        self.halo = _halo_in_latents(blocks)

    def forward(self, latent_hat: Tensor) -> Tensor:
        coarse = run_blocks(self.coarse, self.entry(_channels_last(latent_hat)), recompute=self.recompute)
        fine = _channels_last(pixel_shuffle(self.up(coarse), 2))
        fine = run_blocks(self.fine, fine, recompute=self.recompute)
        return pixel_shuffle(self.tail(fine), PATCH) + 0.5


def _halo_in_latents(blocks: Sequence[int]) -> int:
    """Of either network: one of its 3x3 at 1/16, one a block there, half of one a block at 1/8."""
    return 1 + blocks[1] + -(-blocks[0] // 2)


def _channels_last(features: Tensor) -> Tensor:
    return features.contiguous(memory_format=torch.channels_last)
