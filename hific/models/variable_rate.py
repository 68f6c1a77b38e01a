"""One auto-encoder for all rates, while it is trained; one for each rate, when it is used.

    image ─ analysis ─ latent · gains(weight) ─ hyperprior, quantization ─ latent_hat / gains(weight) ─ synthesis

Gains are a vector over the channels for each of a few weights of the rate, and between these by interpolation on a
logarithmic scale (Cui et al. 2021). Both multiplications are linear, as are the analysis's last layer and the
synthesis's first: `fold` takes them into these, and what comes out is a `HyperpriorAutoencoder` like any other.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hific.errors import OptionError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.quantize import additive_noise

# The weight of the rate beside the recipe's of the squared error at which a KLT initialization's step is about right.
WEIGHT_AT_START = 0.7


@dataclass(frozen=True)
class VariableRateOutput:
    """Of B images: reconstruction [B, 3, H, W], about [0, 1]; noisy bits per pixel [B], to train on; quantized [B]."""

    reconstruction: Tensor
    noisy_bpp: Tensor
    quantized_bpp: Tensor


class VariableRate(nn.Module):
    """rate_weights: of the estimated bpp in the loss, increasing, two or more; each has its gains.

    Raises:
        OptionError: other weights, or a model with a normalization, which would take the gains out again.
    """

    def __init__(self, model: HyperpriorAutoencoder, rate_weights: Sequence[float]) -> None:
        super().__init__()
        if len(rate_weights) < 2 or any(b <= a for a, b in pairwise((0.0, *rate_weights))):
            raise OptionError(f"rate_weights={list(rate_weights)}: two or more above 0 are due, in increasing order")
        if model.normalization != "none":
            raise OptionError(f"one model for all rates takes normalization=none, not {model.normalization}")
        self.model = model
        anchors = torch.tensor(rate_weights).log()
        self.register_buffer("anchors", anchors)
        # The best step of a quantizer grows with the root of what bits cost.
        log_gains = (math.log(WEIGHT_AT_START) - anchors) / 2
        self.log_gains = nn.Parameter(log_gains[:, None].repeat(1, model.latent_channels))

    def gains(self, rate_weight: Tensor) -> Tensor:
        """Weights [B] within those of the constructor to gains [B, C]."""
        anchors: Tensor = self.anchors  # type: ignore[assignment]
        wanted = rate_weight.log()
        below = torch.bucketize(wanted, anchors[1:-1])
        share = (wanted - anchors[below]) / (anchors[below + 1] - anchors[below])
        return torch.lerp(self.log_gains[below], self.log_gains[below + 1], share[:, None]).exp()

    def forward(self, image: Tensor, rate_weight: Tensor) -> VariableRateOutput:
        model, pixels = self.model, image.shape[-2] * image.shape[-1]
        gains = self.gains(rate_weight)[..., None, None]
        latent = model.analyze(image) * gains
        hyperprior = model.predict(latent)
        noisy = model.noisy_likelihoods(additive_noise(latent), hyperprior)
        rounded = model.quantized_likelihoods(latent, hyperprior)
        return VariableRateOutput(
            model.synthesize(model.quantize(latent, hyperprior) / gains), _bits(noisy) / pixels, _bits(rounded) / pixels
        )

    @torch.no_grad()
    def fold(self, rate_weight: float) -> HyperpriorAutoencoder:
        """A copy of the model that does at once what this one does at that weight."""
        model = copy.deepcopy(self.model)
        gains = self.gains(torch.tensor([rate_weight]).to(self.log_gains))[0]
        head, entry = model.analysis.head, model.synthesis.entry
        assert isinstance(head, nn.Conv2d) and isinstance(entry, nn.Conv2d) and head.bias is not None
        head.weight.mul_(gains[:, None, None, None])
        head.bias.mul_(gains)
        entry.weight.div_(gains[:, None, None])
        return model


def _bits(likelihoods: tuple[Tensor, ...]) -> Tensor:
    """[B] of likelihoods [B, ...]."""
    return -torch.stack([one.log2().flatten(1).sum(1) for one in likelihoods]).sum(0)
