"""Likelihoods of latents under a discretized Gaussian, of hyper-latents under a factorized prior; their rate."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


LIKELIHOOD_FLOOR = 1e-9


class FactorizedPrior(nn.Module):
    """The same density at every position of a channel; channels are independent.

    Args:
        channels: of the hyper-latent.
        filters: widths of the hidden layers.
        initial_scale: about how wide the density is before training.
    """

    def __init__(self, channels: int, filters: tuple[int, ...] = (3, 3, 3), initial_scale: float = 10.0) -> None:
        super().__init__()
        self.channels = channels
        widths = (1, *filters, 1)
        scale = initial_scale ** (1 / (len(widths) - 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in pairwise(widths):
            start = math.log(math.expm1(1 / scale / outputs))
            self.matrices.append(nn.Parameter(torch.full((channels, outputs, inputs), start)))
            self.biases.append(nn.Parameter(torch.empty(channels, outputs, 1).uniform_(-0.5, 0.5)))
            if outputs > 1:
                self.factors.append(nn.Parameter(torch.zeros(channels, outputs, 1)))

    def cumulative_logits(self, values: Tensor) -> Tensor:
        """Logits of the cumulative at `values` [channels, n]; the same shape, in the precision of `values`."""
        hidden = values.unsqueeze(1)
        for index, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            hidden = F.softplus(matrix.to(values.dtype)) @ hidden + bias.to(values.dtype)
            if index < len(self.factors):
                hidden = hidden + torch.tanh(self.factors[index].to(values.dtype)) * torch.tanh(hidden)
        return hidden.squeeze(1)

    def probabilities(self, values: Tensor) -> Tensor:
        """Mass of [value - .5, value + .5] for `values` [channels, n], without a floor."""
        lower, upper = self.cumulative_logits(values - 0.5), self.cumulative_logits(values + 0.5)
        # Right of the median both sigmoids are near 1 and their difference would be lost: take it from the left.
        sign = torch.where(lower + upper > 0, -1.0, 1.0).to(values.dtype)
        return (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()

    def forward(self, hyper_latent: Tensor) -> Tensor:
        """Likelihoods of [B, N, h, w], noisy or rounded, at least `LIKELIHOOD_FLOOR`; float32, the same shape."""
        batch, channels, height, width = hyper_latent.shape
        with torch.autocast(device_type=hyper_latent.device.type, enabled=False):
            values = hyper_latent.float().transpose(0, 1).reshape(channels, -1)
            likelihoods = lower_bound(self.probabilities(values), LIKELIHOOD_FLOOR)
        return likelihoods.reshape(channels, batch, height, width).transpose(0, 1)
