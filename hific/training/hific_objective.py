"""HiFiC's distortion: k_M MSE + k_P LPIPS, and penalties of artifacts that these two do not see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hific.errors import OptionError
from hific.losses.local_color import local_color_loss
from hific.losses.perceptual import FrozenFeatureLoss
from hific.losses.phase_pattern import phase_pattern_loss
from hific.ops.random_crop import shifted_crop

PERCEPTUAL_MINIMUM = 32  # pixels a side that LPIPS takes


@dataclass(frozen=True)
class DistortionWeights:
    """mse: k_M, of the mean squared error on [0, 255]; perceptual: k_P, of LPIPS.

    Artifact penalties, not in the paper, on [0, 255] too: phase_pattern (losses/phase_pattern.py), local_color
    (losses/local_color.py).
    """

    mse: float = 0.075 * 2**-5
    perceptual: float = 1.0
    phase_pattern: float = 0.0
    local_color: float = 0.0

    def __post_init__(self) -> None:
        if min(self.mse, self.perceptual, self.phase_pattern, self.local_color) < 0:
            raise OptionError(f"weights of the distortion are 0 or more: {self}")

    def of_mse(self, error: Tensor) -> Tensor:
        """The weighted term of a mean squared error on [0, 1]."""
        return self.mse * 255.0**2 * error

    def artifact_penalties(self, reconstruction: Tensor, image: Tensor, stride: int) -> dict[str, Tensor]:
        """The weighted terms of what the eye sees and the two others do not, those with a weight; images on [0, 1];
        stride: pixels of a latent."""
        penalties = (
            ("phase_pattern", self.phase_pattern, phase_pattern_loss),
            ("local_color", self.local_color, local_color_loss),
        )
        return {
            name: weight * 255.0**2 * loss(reconstruction, image, stride)
            for name, weight, loss in penalties
            if weight > 0
        }


class HificDistortion(nn.Module):
    """The weighted distortion of reconstructions, all images [B, 3, H, W] in [0, 1].

    Args:
        perceptual: built by `perceptual_term`; None trains without (the checkpoint says so).
        perceptual_samples: images of each batch that it looks at; None for all.
        view_shift: pixels by which what it sees is moved at random (ops/random_crop.py): judged at one offset only, a
            network learns to hide errors there, as a grid.
    """

    def __init__(
        self,
        weights: DistortionWeights,
        perceptual: FrozenFeatureLoss | None,
        perceptual_samples: int | None = None,
        view_shift: int = 0,
    ) -> None:
        super().__init__()
        if view_shift < 0 or (perceptual_samples is not None and perceptual_samples < 1):
            raise OptionError(
                f"view_shift={view_shift} is 0 or more, perceptual_samples={perceptual_samples} 1 or more"
            )
        self.weights, self.perceptual = weights, perceptual
        self.perceptual_samples, self.view_shift = perceptual_samples, view_shift

    def terms(
        self, reconstruction: Tensor, image: Tensor, stride: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Of a training batch; `generator` moves the view."""
        terms = {"mse": self.weights.of_mse((reconstruction - image).square().mean())}
        terms |= self.weights.artifact_penalties(reconstruction, image, stride)
        if self.perceptual is not None and self.weights.perceptual > 0:
            some = slice(self.perceptual_samples)
            x_hat, x = shifted_crop((reconstruction[some], image[some]), self.view_shift, generator)
            terms["perceptual"] = self.weights.perceptual * self.perceptual(2 * x_hat - 1, 2 * x - 1)
        return terms

    def forward(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """k_M MSE + k_P LPIPS of whole photos, a scalar."""
        total = self.weights.of_mse((reconstruction - image).square().mean())
        large = min(image.shape[-2:]) >= PERCEPTUAL_MINIMUM
        if self.perceptual is not None and self.weights.perceptual > 0 and large:
            total = total + self.weights.perceptual * self.perceptual(2 * reconstruction - 1, 2 * image - 1)
        return total
