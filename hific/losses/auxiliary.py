"""Auxiliary losses: CompressNet's own terms, for its layers and its switches, and penalties that are in no paper: of
artifacts that other terms miss (one pattern over every image, color casts), of latents far from their levels.

Where a window's maximum occurs twice (nearly always: all four are zero after the ReLU), its switch is arbitrary: such
windows count neither in the loss nor in the accuracy.

In a distributed training each is of all ranks' images together (ops/ranks.py): all ranks call it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hific.ops.ranks import count_ranks, mean_over_ranks


def layerwise_loss(
    synthesis_features: Sequence[Tensor], analysis_features: Sequence[Tensor], detach_analysis: bool = True
) -> Tensor:
    """Mean squared difference of each pair of equal-shaped maps, summed over the scales; a float32 scalar.

    With `detach_analysis` the analysis is a fixed goal: otherwise its features can shrink to please this loss.
    """
    terms = [
        (decoded.float() - (encoded.detach() if detach_analysis else encoded).float()).square().mean()
        for decoded, encoded in zip(synthesis_features, analysis_features, strict=True)
    ]
    return torch.stack(terms).sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is true; 0 (with zero gradients) where it is true nowhere. Ranks know of different
    numbers of places: the mean of their results is that over all of them."""
    weights = mask.to(values.dtype)
    return (values * weights).sum() / mean_over_ranks(weights.sum()).clamp(min=1 / count_ranks())


def switch_prediction_loss(prediction: Tensor, switches: Tensor, tied: Tensor) -> Tensor:
    """Mean over un-tied windows: cross-entropy of the four logits [B, 4, k, h, w], or for the paper's head [B, k, h, w]
    the squared distance to the middle (.125, .375, .625, .875) of the class's interval.

    `switches` int64 and `tied` bool: [B, k, h, w].
    """
    if prediction.ndim == 5:
        errors = F.cross_entropy(prediction.float(), switches, reduction="none")
    else:
        errors = (prediction.float() - (switches.float() + 0.5) / 4).square()
    return masked_mean(errors, ~tied)


def switch_accuracy(predicted: Tensor, switches: Tensor, tied: Tensor) -> Tensor:
    """Share of un-tied windows whose switch is predicted; chance is .25."""
    return masked_mean((predicted == switches).float(), ~tied)


def phase_pattern_loss(reconstruction: Tensor, image: Tensor, period: int) -> Tensor:
    """The mean square of what errors have in common at each place of a grid of `period` pixels; 0 where they have
    nothing in common but a tint. Both [B, 3, H, W] with the grid's origin at the upper left; H, W at least `period`.

    Upsampling treats the places of the grid differently, and a perceptual loss likes texture, whatever it is: of the
    periodic texture in Kodak's 24 reconstructions by networks of size=small, about 94 % (of its variance) was one and
    the same pattern of 3 levels of 255, CompressNet's and HiFiC's alike (originals: .5). The squared error of single
    images hardly sees it, and a view at a random offset not at all; the mean over all cells of a batch sees nothing
    else.
    """
    batch, channels, height, width = image.shape
    rows, columns = height // period, width // period
    error = (reconstruction - image).float()[..., : rows * period, : columns * period]
    pattern = mean_over_ranks(error.reshape(batch, channels, rows, period, columns, period).mean((0, 2, 4)))
    return (pattern - pattern.mean((1, 2), keepdim=True)).square().mean()


def local_color_loss(reconstruction: Tensor, image: Tensor, side: int) -> Tensor:
    """The mean square of the errors of averages over `side` x `side` pixels; both [B, 3, H, W], H, W at least `side`.

    A gray wall that comes back violet is off by 4 levels of 255: no more than 16 of the 130 that the mean squared error
    is anyway, and less than a texture to a perceptual loss. The eye sees it before all else. What is fine averages out
    here, so that a small price for all errors becomes a high one for a cast alone.
    """
    return F.avg_pool2d((reconstruction - image).float(), side).square().mean()


def latent_spread_loss(latent: Tensor, levels: int = 5) -> Tensor:
    """Zero for a latent [B, C, H, W] within [-levels // 2, levels // 2] whose channels have a deviation of 1 or more.

    The soft quantizer has no gradient far outside its centers, and none leads back from a latent that is the same for
    every image: a decoder that cannot use the latent yet sends it one common direction, and a few early steps carry
    all of it to one center for good. Without this term that happened to two of three trials at size=tiny (12.6 dB
    instead of 19). InstanceNorm before the latent also prevents it; ChannelNorm does not.

    The mean squared distance to the interval, and the mean over channels of what the deviation over batch and
    positions lacks to 1, squared.
    """
    latent = latent.float()
    outside = torch.relu(latent.abs() - levels // 2).square().mean()
    mean = mean_over_ranks(latent.detach().mean((0, 2, 3), keepdim=True))
    deviation = (mean_over_ranks((latent - mean).square().mean((0, 2, 3))) + 1e-6).sqrt()
    return outside + torch.relu(1 - deviation).square().mean()
