"""Penalties of artifacts that other terms miss: one pattern over every image, color casts; of latents far from their
levels. None is in the papers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
    pattern = error.reshape(batch, channels, rows, period, columns, period).mean((0, 2, 4))
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
    deviation = (latent.var(dim=(0, 2, 3), unbiased=False) + 1e-6).sqrt()
    return outside + torch.relu(1 - deviation).square().mean()
