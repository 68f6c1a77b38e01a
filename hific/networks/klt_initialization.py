"""KLT initialization: an auto-encoder whose untrained networks are a linear transform coder.

Before its first batch it compresses as a block transform would, and training makes it better than that. On photos at
size=small it starts at 26 dB; networks that start at random have learned 22 dB after 1000 batches.

How: ReLU halves what passes it, but a pair of channels that hold f and -f passes f whole, as relu(f) - relu(-f). So the
first channels of each layer are such pairs, and the strided convolutions mix the 2x2 positions under an output by a
Karhunen-Loève transform, that of a first-order Markov model of images. The synthesis is the transpose. Channels beyond
the pairs start at random, and nothing listens to them yet.

Adam moves every weight by about the learning rate, whatever its size. So what the latents' gain takes is shared by all
layers: had the last one all of it, its weights would be too large to be learned, and the synthesis's too small to last.

Patch transforms have linear outer layers, so that pairs of channels are not needed: 8x8 patches are turned by their
Karhunen-Loève transform, the features of four of them by theirs, under the same model of images. Blocks add nothing
yet. Features do not have the scale of a transform's coefficients, of which the first is a hundred times as large as the
last: a block's first layer would hear of nothing but brightness. They are divided by the square root of their standard
deviation, and the next layer takes that back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hific.errors import OptionError
from hific.networks.hific import HificAnalysis, HificSynthesis
from hific.networks.patch_transform import PATCH, PatchAnalysis, PatchSynthesis

# Of neighboring pixels, and of two colors at one pixel, in photos.
SPATIAL_CORRELATION, COLOR_CORRELATION = 0.95, 0.9
# Photos in [0, 1] have this share of the standard deviation of the model, whose pixels' is 1; .1 to .5 by channel.
CONTRAST = 0.2
# An orthonormal coefficient of images in [0, 1] times this is a latent: whole numbers are 114 of 255 levels apart, some
# .3 bpp. With finer ones the rate term tears down what is there before the hyperprior has learned to describe it.
GAIN = 2.24
# Of a 3x3 kernel of stride 2 and padding 1: the taps on the 2x2 positions that are the output's own.
TAPS = ((1, 1), (1, 2), (2, 1), (2, 2))


@torch.no_grad()
def initialize_klt(analysis: HificAnalysis, synthesis: HificSynthesis) -> Tensor:
    """Sets the weights of both, in place.

    Returns: about the standard deviations of latents in photos, [C].

    Raises:
        OptionError: layers with a normalization, which no linear function passes, or too few channels for the colors.
    """
    if any(not isinstance(block[1], nn.Identity) for block in (analysis.stem, *synthesis.ups)):
        raise OptionError(
            "initialization=klt and lapped go with normalization=none alone: recipe.initialization=random with others"
        )
    downs = [block[0] for block in analysis.downs]
    ups = [block[0] for block in reversed(synthesis.ups)]
    (colors, *transforms), variances = layered_klt([conv.out_channels // 2 for conv in (analysis.stem[0], *downs)])
    # relu(f) - relu(-f) = f; with a slope below zero, more.
    passed = 1 + getattr(synthesis.ups[0][2], "negative_slope", 0.0)

    for conv in (analysis.head, synthesis.entry, synthesis.tail):
        nn.init.zeros_(conv.weight)
    for conv in (analysis.stem[0], *downs, analysis.head, *ups, synthesis.entry, synthesis.tail):
        nn.init.zeros_(conv.bias)

    stem, color_pairs = analysis.stem[0], torch.cat((colors, -colors))
    stem.weight[: len(color_pairs)] = 0
    stem.weight[: len(color_pairs), :, 3, 3] = color_pairs
    stem.bias[: len(color_pairs)] = color_pairs.sum(1) * -0.5  # of images less .5
    synthesis.tail.weight[:, : len(color_pairs), 3, 3] = color_pairs.T / passed
    synthesis.tail.bias.fill_(0.5)

    for conv, up, transform in zip(downs, ups, transforms, strict=True):
        pairs = torch.cat((torch.cat((transform, -transform), 2), torch.cat((-transform, transform), 2)))
        outputs, _, inputs = pairs.shape
        conv.weight[:outputs] = 0
        up.weight[:, :inputs] = 0
        for (row, column), tap in zip(TAPS, pairs.unbind(1), strict=True):
            conv.weight[:outputs, :inputs, row, column] = tap
            up.weight[:outputs, :inputs, row, column] = tap if up is ups[-1] else tap / passed

    count = len(transforms[-1])
    latents = torch.arange(min(count, analysis.head.out_channels))
    for channels, sign in ((latents, 1.0), (latents + count, -1.0)):
        analysis.head.weight[latents, channels, 1, 1] = sign
        # The pair is not rectified here, and comes twice: features + blocks(features).
        synthesis.entry.weight[channels, latents, 1, 1] = sign / 4

    each = GAIN ** (1 / (len(downs) + 2))
    for layer in (stem, *downs, analysis.head):
        layer.weight *= each
    stem.bias *= each
    for layer in (synthesis.entry, *ups, synthesis.tail):
        layer.weight /= each
    deviations = torch.ones(analysis.head.out_channels)
    deviations[latents] = GAIN * CONTRAST * variances[latents].sqrt()
    return deviations


def layered_klt(channels: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """Orthonormal rows, most variance first: one transform of the colors [3, 3], then one a doubling of the block's
    side, [n, 4, m], of four neighboring positions with m features each to the n of the most variance, at most
    `channels`; and the last one's variances [n], a pixel's being 1.

    Raises:
        OptionError: fewer than 3 at full resolution.
    """
    if channels[0] < 3:
        raise OptionError("initialization=klt and lapped take 6 channels at full resolution or more")
    features = principal(block_covariance(1), 3)  # as functions of a block's pixels
    transforms = [features]
    for level, most in enumerate(channels[1:], 1):
        covariance = block_covariance(2**level)
        four = at_four_positions(features, 2 ** (level - 1))
        transform = principal(four @ covariance @ four.T, min(most, len(four)))
        transforms.append(transform.view(len(transform), 4, len(features)))
        features = transform @ four
    variances = torch.einsum("nk,kl,nl->n", features, covariance, features)
    return [transform.float() for transform in transforms], variances.float()


def block_covariance(side: int) -> Tensor:
    """Of the colors of a block's pixels, float64 [side * side * 3] squared, as a first-order Markov model has it."""
    along, colors = _factors(side)
    return torch.kron(torch.kron(along, along), colors)


def block_klt(side: int, count: int) -> tuple[Tensor, Tensor]:
    """Orthonormal float64 rows [count, side, side, 3], most variance first, and their variances, a pixel's being 1:
    `principal` of `block_covariance` from its factors, in no time."""
    along, colors = (torch.linalg.eigh(factor) for factor in _factors(side))
    variances = torch.kron(torch.kron(along.eigenvalues, along.eigenvalues), colors.eigenvalues)
    chosen = variances.sort(descending=True, stable=True).indices[:count]
    row, column, color = torch.unravel_index(chosen, (side, side, 3))
    vectors = along.eigenvectors.T
    rows = torch.einsum("ny,nx,nc->nyxc", vectors[row], vectors[column], colors.eigenvectors.T[color])
    return _signed(rows.flatten(1)).view_as(rows), variances[chosen]


def _factors(side: int) -> tuple[Tensor, Tensor]:
    """Covariances of pixels along a line [side, side], and of a pixel's colors [3, 3]."""
    distance = torch.arange(side, dtype=torch.float64)
    along = SPATIAL_CORRELATION ** (distance[:, None] - distance).abs()
    return along, torch.full((3, 3), COLOR_CORRELATION, dtype=torch.float64).fill_diagonal_(1)


def principal(covariance: Tensor, count: int) -> Tensor:
    """The eigenvectors of the `count` largest eigenvalues, as rows; signs fixed, so that machines agree."""
    return _signed(torch.linalg.eigh(covariance).eigenvectors.flip(1).T[:count])


def _signed(vectors: Tensor) -> Tensor:
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * largest.sign()


def at_four_positions(features: Tensor, side: int) -> Tensor:
    """Functions [n, side * side * 3] of a block, as [4 * n, 4 * side * side * 3] of a block of twice the side."""
    count = len(features)
    four = features.new_zeros(2, 2, count, 2, side, 2, side, 3)
    for row in range(2):
        for column in range(2):
            four[row, column, :, row, :, column] = features.view(count, side, side, 3)
    return four.view(4 * count, -1)


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
    patch_covariance = block_covariance(PATCH)
    fine = principal(patch_covariance, min(fine_channels, len(patch_covariance)))
    four = at_four_positions(fine, PATCH)
    of_features = four @ block_covariance(2 * PATCH) @ four.T
    coarse = principal(of_features, min(channels, len(four)))
    patch_rows = fine.view(-1, PATCH, PATCH, 3).permute(0, 3, 1, 2).flatten(1)
    return (
        _BlockTransform(patch_rows.float(), _deviations(fine, patch_covariance)),
        _BlockTransform(coarse.view(len(coarse), 4, len(fine)).mT.float(), _deviations(coarse, of_features)),
    )


def _deviations(rows: Tensor, covariance: Tensor) -> Tensor:
    return CONTRAST * ((rows @ covariance) * rows).sum(1).sqrt().float()
