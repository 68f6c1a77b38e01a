"""HiFiC's auto-encoder: analysis, mean-and-scale hyperprior, synthesis (Mentzer et al. 2020; hific_xgboost, figure 1).

x ─ analysis ─ latent ─┬─ hyper-analysis ─ z ─ round ─ hyper-syntheses ─ means, scales
                       └─ round(latent - means) + means ─ latent_hat ─ synthesis ─ x_hat
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from hific.entropy.densities import FactorizedPrior, estimated_bpp, gaussian_likelihoods
from hific.errors import OptionError
from hific.layers.blocks import Activation, Normalization
from hific.networks.hific import HyperAnalysis, HyperSynthesis
from hific.networks.transforms import MOST_CHANNELS, TRANSFORMS, Transform, make_transforms
from hific.ops.quantize import Chance, additive_noise, round_straight_through

Quantization = Literal["ste", "noise"]


@dataclass(frozen=True)
class Hyperprior:
    """What the hyper-latent says of the latent: `hyper_latent` [B, N, ceil(h/4), ceil(w/4)] before rounding; `means`
    and `scales` [B, C, h, w], float32, scales not yet bounded."""

    hyper_latent: Tensor
    means: Tensor
    scales: Tensor


@dataclass(frozen=True)
class HyperpriorOutput:
    """One pass through a hyperprior auto-encoder. `latent_hat` is what the synthesis saw; `estimated_bpp_noisy` (with a
    gradient) and `estimated_bpp_quantized` (without) are scalars, means over the batch's pixels; `reconstruction`
    [B, 3, H, W], float32, about [0, 1]."""

    latent: Tensor
    latent_hat: Tensor
    hyperprior: Hyperprior
    estimated_bpp_noisy: Tensor
    estimated_bpp_quantized: Tensor
    reconstruction: Tensor


class HyperpriorAutoencoder(nn.Module):
    """Image to integer latents to image.

    Args:
        transform: `hific` is the paper's analysis and synthesis; `patch` works at 1/8 and 1/16 of the resolution alone
            (networks/patch_transform.py).
        widths: channels from the finest scale down to 1/16; the paper's are 60, 120, 240, 480, 960. `patch` takes two.
        latent_channels: C, 220 in the paper.
        hyper_channels: N, 320 in the paper.
        residual_blocks: of the synthesis; the paper's 9. Of `patch`, of either network: at 1/8 and at 1/16, or one
            number for both.
        normalization: `channel` is the paper's; others are ablations, of which `instance` cannot be coded in tiles.
        activation: of the synthesis.
        quantization: what the synthesis sees in training: rounded latents with a straight-through gradient (`ste`), or
            latents with the noise that the rate sees (`noise`).

    Images are float [B, 3, H, W] in [0, 1], H and W multiples of 16.
    """

    stride = 16
    minimum_size = 16

    def __init__(
        self,
        *,
        widths: Sequence[int],
        latent_channels: int,
        hyper_channels: int,
        residual_blocks: int | Sequence[int],
        transform: Transform = "hific",
        normalization: Normalization = "channel",
        activation: Activation = "relu",
        quantization: Quantization = "ste",
    ) -> None:
        super().__init__()
        if not 2 <= hyper_channels <= MOST_CHANNELS:
            raise OptionError(f"hyper_channels={hyper_channels} must be in 2..{MOST_CHANNELS}")
        if quantization not in get_args(Quantization):
            raise OptionError(f"quantization={quantization!r} is none of {', '.join(get_args(Quantization))}")
        blocks = residual_blocks if isinstance(residual_blocks, int) else [int(count) for count in residual_blocks]
        self.arguments: dict[str, Any] = {
            "transform": transform,
            "widths": [int(width) for width in widths],
            "latent_channels": int(latent_channels),
            "hyper_channels": int(hyper_channels),
            "residual_blocks": blocks,
            "normalization": normalization,
            "activation": activation,
            "quantization": quantization,
        }
        self.widths = tuple(self.arguments["widths"])
        self.latent_channels, self.hyper_channels = int(latent_channels), int(hyper_channels)
        self.normalization = normalization
        self.quantization: Quantization = quantization
        self.analysis, self.synthesis = make_transforms(
            transform,
            widths=self.widths,
            latent_channels=self.latent_channels,
            residual_blocks=blocks,
            normalization=normalization,
            activation=activation,
        )
        self.hyper_analysis = HyperAnalysis(latent_channels, hyper_channels)
        self.mean_synthesis = HyperSynthesis(hyper_channels, latent_channels)
        self.scale_synthesis = HyperSynthesis(hyper_channels, latent_channels)
        self.prior = FactorizedPrior(hyper_channels)
        self.scale_synthesis.start_at(torch.ones(latent_channels))

    def initialize_klt(self) -> None:
        """Makes the untrained networks a linear transform coder (networks/klt_initialization.py), in place. OptionError
        where they have a normalization."""
        kind = TRANSFORMS[self.arguments["transform"]]
        self.scale_synthesis.start_at(kind.initialize_klt(self.analysis, self.synthesis))

    @property
    def hyperprior_parts(self) -> list[nn.Module]:
        """All that predicts the latent."""
        return [self.hyper_analysis, self.mean_synthesis, self.scale_synthesis, self.prior]

    @property
    def stream_parts(self) -> list[nn.Module]:
        """All that decides on a file's bytes."""
        return [self.analysis, *self.hyperprior_parts]

    def parameter_groups(self, hyperprior_lr_factor: float) -> list[dict[str, Any]]:
        """For an optimizer: the transforms, and the hyperprior, whose `lr_factor` is given."""
        hyperprior = [parameter for part in self.hyperprior_parts for parameter in part.parameters()]
        transforms = [*self.analysis.parameters(), *self.synthesis.parameters()]
        return [{"params": transforms}, {"params": hyperprior, "lr_factor": hyperprior_lr_factor}]

    def analyze(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] in [0, 1] to latent [B, C, H/16, W/16], float32."""
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride or min(height, width) < self.minimum_size:
            raise ValueError(f"height and width must be multiples of {self.stride}, not {height} and {width}")
        latent: Tensor = self.analysis(image).float()
        return latent

    def synthesize(self, latent_hat: Tensor) -> Tensor:
        """Latent to image, float32, about [0, 1]."""
        reconstruction: Tensor = self.synthesis(latent_hat).float()
        return reconstruction

    def predict(self, latent: Tensor) -> Hyperprior:
        """The hyper-latent of a latent, and the means and scales that follow from its rounded values."""
        height, width = latent.shape[-2:]
        # The hyperprior is small and steers the rate: it stays in float32.
        with torch.autocast(device_type=latent.device.type, enabled=False):
            hyper_latent = self.hyper_analysis(latent)
            hyper_latent_hat = round_straight_through(hyper_latent)
            means = self.mean_synthesis(hyper_latent_hat)[..., :height, :width]
            scales = self.scale_synthesis(hyper_latent_hat)[..., :height, :width]
        return Hyperprior(hyper_latent, means, scales)

    @staticmethod
    def quantize(latent: Tensor, hyperprior: Hyperprior) -> Tensor:
        """The latent at whole distances from its means, with a straight-through gradient."""
        return round_straight_through(latent - hyperprior.means) + hyperprior.means

    def forward(self, image: Tensor, chance: Chance = None) -> HyperpriorOutput:
        """Through quantization, without bytes. `chance`: of the noise, on the CPU."""
        latent = self.analyze(image)
        hyperprior = self.predict(latent)
        num_pixels = image.shape[0] * image.shape[2] * image.shape[3]
        noisy_latent = additive_noise(latent, chance)
        noisy_bpp = estimated_bpp(self.noisy_likelihoods(noisy_latent, hyperprior, chance), num_pixels)
        quantized_bpp = self.quantized_bits(latent, hyperprior) / num_pixels
        if self.quantization == "noise" and self.training:
            latent_hat = noisy_latent
        else:
            latent_hat = self.quantize(latent, hyperprior)
        return HyperpriorOutput(
            latent, latent_hat, hyperprior, noisy_bpp, quantized_bpp, reconstruction=self.synthesize(latent_hat)
        )

    def noisy_likelihoods(
        self, noisy_latent: Tensor, hyperprior: Hyperprior, chance: Chance = None
    ) -> tuple[Tensor, Tensor]:
        """Of the hyper-latent with noise [B, N, h', w'], and of the latent that has some [B, C, h, w]: to train on."""
        return (
            self.prior(additive_noise(hyperprior.hyper_latent, chance)),
            gaussian_likelihoods(noisy_latent - hyperprior.means, hyperprior.scales),
        )

    @torch.no_grad()
    def quantized_likelihoods(self, latent: Tensor, hyperprior: Hyperprior) -> tuple[Tensor, Tensor]:
        """Of both as they are rounded: to steer by, and to measure."""
        return (
            self.prior(hyperprior.hyper_latent.round()),
            gaussian_likelihoods((latent - hyperprior.means).round(), hyperprior.scales),
        )

    @torch.no_grad()
    def quantized_bits(self, latent: Tensor, hyperprior: Hyperprior | None = None) -> Tensor:
        """Estimated bits of the rounded latent and hyper-latent, all of the batch together, a scalar."""
        hyperprior = self.predict(latent) if hyperprior is None else hyperprior
        return estimated_bpp(self.quantized_likelihoods(latent, hyperprior), num_pixels=1)
