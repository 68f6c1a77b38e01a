"""A Gaussian for every latent, with the mean and scale that the hyperprior says (Minnen et al. 2018)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hific.entropy.factorized_prior import LIKELIHOOD_FLOOR
from hific.ops.lower_bound import lower_bound

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
