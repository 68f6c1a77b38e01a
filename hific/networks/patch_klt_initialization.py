"""KLT initialization (networks/klt_initialization.py) of patch transforms: a block transform of 16x16 pixels, and back.

Their outer layers are linear, so that pairs of channels are not needed: 8x8 patches are turned by their Karhunen-Loève
transform, the features of four of them by theirs, under the same model of images. Blocks add nothing yet.

Features do not have the scale of a transform's coefficients, of which the first is a hundred times as large as the
last: a block's first layer would hear of nothing but brightness. They are divided by the square root of their standard
deviation, and the next layer takes that back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hific.networks.klt_initialization import (
    COLOR_CORRELATION,
    CONTRAST,
    GAIN,
    SPATIAL_CORRELATION,
    at_four_positions,
    principal,
)
from hific.networks.patch_transform import PATCH, PatchAnalysis, PatchSynthesis


@torch.no_grad()
def initialize_patch_klt(analysis: PatchAnalysis, synthesis: PatchSynthesis) -> Tensor:
    """Sets the outer layers' weights, in place. Returns: about the standard deviations of latents in photos, [C]."""
    fine, coarse = _two_transforms(analysis.embed.out_channels, analysis.down.out_channels)
    latents = torch.arange(min(len(coarse.rows), analysis.head.out_channels))
    outer = (analysis.embed, analysis.down, analysis.head, synthesis.entry, synthesis.up, synthesis.tail)
    for layer in outer:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    fine_gains, gains = fine.deviations.rsqrt(), coarse.deviations.rsqrt()
    count = len(fine.rows)
    analysis.embed.weight[:count, :, 0, 0] = fine.rows * fine_gains[:, None]
    synthesis.tail.weight[:, :count, 0, 0] = (fine.rows / fine_gains[:, None]).T

    # pixel_unshuffle puts the four positions of a channel side by side.
    four = coarse.rows.new_zeros(len(coarse.rows), analysis.embed.out_channels, 4)
    four[:, :count] = coarse.rows / fine_gains[:, None] * gains[:, None, None]
    analysis.down.weight[: len(four), :, 0, 0] = four.flatten(1)
    four[:, :count] = coarse.rows * fine_gains[:, None] / gains[:, None, None]
    synthesis.up.weight[:, : len(four), 0, 0] = four.flatten(1).T

    analysis.head.weight[latents, latents, 1, 1] = GAIN / gains[latents]
    synthesis.entry.weight[latents, latents, 1, 1] = gains[latents] / GAIN
    deviations = torch.ones(analysis.head.out_channels)
    deviations[latents] = GAIN * coarse.deviations[latents]
    return deviations


class _BlockTransform(NamedTuple):
    """Orthonormal rows, most variance first, and the standard deviations [n] of their coefficients in photos."""

    rows: Tensor
    deviations: Tensor


def _two_transforms(fine_channels: int, channels: int) -> tuple[_BlockTransform, _BlockTransform]:
    """Of patches, rows [f, 3 * 8 * 8], and of four patches' features, rows [n, f, 4]; in the orders of
    pixel_unshuffle."""
    distance = torch.arange(2 * PATCH, dtype=torch.float64)
    along = SPATIAL_CORRELATION ** (distance[:, None] - distance).abs()
    colors = torch.full((3, 3), COLOR_CORRELATION, dtype=torch.float64).fill_diagonal_(1)
    covariance = torch.kron(torch.kron(along, along), colors)
    part = along[:PATCH, :PATCH]
    patch_covariance = torch.kron(torch.kron(part, part), colors)

    fine = principal(patch_covariance, min(fine_channels, len(patch_covariance)))
    four = at_four_positions(fine, PATCH)
    of_features = four @ covariance @ four.T
    coarse = principal(of_features, min(channels, len(four)))
    patch_rows = fine.view(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2).flatten(1)
    return (
        _BlockTransform(patch_rows.float(), _deviations(fine, patch_covariance)),
        _BlockTransform(coarse.view(len(coarse), 4, len(fine)).mT.float(), _deviations(coarse, of_features)),
    )


def _deviations(rows: Tensor, covariance: Tensor) -> Tensor:
    return CONTRAST * ((rows @ covariance) * rows).sum(1).sqrt().float()
