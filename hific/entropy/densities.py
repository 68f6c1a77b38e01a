"""Likelihoods of latents under a discretized Gaussian, and the rate that follows from likelihoods."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hific.entropy.factorized_prior import LIKELIHOOD_FLOOR
from hific.ops.quantize import lower_bound

SMALLEST_SCALE = 0.11


def gaussian_likelihoods(centered: Tensor, scales: Tensor) -> Tensor:
    """Mass of a Gaussian in [c - .5, c + .5], at least `LIKELIHOOD_FLOOR`; float32.

    centered: latent minus mean, noisy or rounded; scales: standard deviations, used as at least `SMALLEST_SCALE`.
    """
    with torch.autocast(device_type=centered.device.type, enabled=False):
        distance = centered.float().abs()
        scales = lower_bound(scales.float(), SMALLEST_SCALE)
        # Symmetric, so that both ends are left of the mean, where the cumulative keeps its digits.
        mass = _cumulative((0.5 - distance) / scales) - _cumulative((-0.5 - distance) / scales)
        return lower_bound(mass, LIKELIHOOD_FLOOR)


def _cumulative(values: Tensor) -> Tensor:
    return 0.5 * torch.erfc(values * -math.sqrt(0.5))


def estimated_bpp(likelihoods: tuple[Tensor, ...], num_pixels: int) -> Tensor:
    """-log2 of all likelihoods, summed, over `num_pixels` (of the whole batch); a float32 scalar.

    An estimate: `bpp` is a file's bytes.
    """
    bits = sum(-likelihood.float().log().sum() for likelihood in likelihoods)
    assert isinstance(bits, Tensor)
    return bits / (math.log(2) * num_pixels)
