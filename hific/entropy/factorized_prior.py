"""A density for each channel, learned without assuming its shape (Ballé et al. 2018, appendix 6.1).

The cumulative of a channel is a chain of small monotone layers, 1 -> 3 -> 3 -> 3 -> 1, ended by a sigmoid.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hific.ops.quantize import lower_bound

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
            self.biases.append(nn.Parameter(torch.rand(channels, outputs, 1) - 0.5))
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
