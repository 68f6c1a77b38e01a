"""What each family trains on beside the adversary and the rate: CompressNet's losses (equation 3); HiFiC's distortion,
k_M MSE + k_P LPIPS; and penalties of artifacts that these do not see.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from hific.errors import OptionError
from hific.losses.auxiliary import (
    latent_spread_loss,
    layerwise_loss,
    local_color_loss,
    phase_pattern_loss,
    switch_prediction_loss,
)
from hific.losses.perceptual import FrozenFeatureLoss
from hific.models.compressnet import CompressNet, CompressNetOutput
from hific.ops.images import shifted_crop

PERCEPTUAL_MINIMUM = 32  # pixels a side that the perceptual terms take


class Objective(nn.Module):
    """What both families' have in common.

    Args:
        perceptual: built by `perceptual_term`; None trains without (the checkpoint says so).
        view_shift: pixels by which what it sees is moved at random (ops/images.py): judged at one offset only, a
            network learns to hide errors there, as a grid.
    """

    def __init__(
        self, weights: LossWeights | DistortionWeights, perceptual: FrozenFeatureLoss | None, view_shift: int
    ) -> None:
        super().__init__()
        if view_shift < 0:
            raise OptionError(f"view_shift={view_shift} must be 0 or more")
        self.weights: Any = weights
        self.perceptual, self.view_shift = perceptual, view_shift

    def distortion(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """Of whole photos [B, 3, H, W] in [0, 1], squared error and perceptual term, a scalar."""
        total: Tensor = self.weights.of_mse((reconstruction - image).square().mean())
        large = min(image.shape[-2:]) >= PERCEPTUAL_MINIMUM
        if self.perceptual is not None and self.weights.perceptual > 0 and large:
            total = total + self.weights.perceptual * self.perceptual(2 * reconstruction - 1, 2 * image - 1)
        return total


@dataclass(frozen=True)
class LossWeights:
    """Weights of equation 3 beside the adversary's own; images in [-1, 1], every term a mean over elements.

    mse: lambda_MSE; perceptual: lambda_p; layerwise: lambda_S; switch_prediction: the SPN's own loss; latent_spread,
    phase_pattern: not in the paper, see losses/.
    """

    mse: float = 1.0
    perceptual: float = 5.0
    layerwise: float = 1.0
    switch_prediction: float = 1.0
    latent_spread: float = 1.0
    phase_pattern: float = 0.0

    def __post_init__(self) -> None:
        if min(getattr(self, field.name) for field in fields(self)) < 0:
            raise OptionError(f"weights of losses must be 0 or more: {self}")

    def of_mse(self, error: Tensor) -> Tensor:
        """The weighted term of a mean squared error on [0, 1]."""
        return self.mse * 2.0**2 * error


class CompressNetObjective(Objective):
    """The weighted terms; images [B, 3, H, W] in [-1, 1].

    Args, besides those of `Objective`, whose view is the adversary's too:
        detach_layerwise: whether the layer loss's gradient stops before the analysis.
    """

    def __init__(
        self,
        weights: LossWeights,
        perceptual: FrozenFeatureLoss | None,
        detach_layerwise: bool = True,
        view_shift: int = 0,
    ) -> None:
        super().__init__(weights, perceptual, view_shift)
        self.detach_layerwise = detach_layerwise

    def view(self, image: Tensor, reconstruction: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(image, reconstruction) as the perceptual term and the adversary see them."""
        moved, moved_image = shifted_crop((reconstruction, image), self.view_shift, generator)
        return moved_image, moved

    def terms(self, model: CompressNet, image: Tensor, output: CompressNetOutput) -> dict[str, Tensor]:
        """Those that need more than a view of the image (equation 3, and the SPN's)."""
        weights, analysis = self.weights, output.analysis
        terms = {"mse": weights.mse * (output.reconstruction - image).square().mean()}
        if weights.latent_spread > 0:
            terms["latent_spread"] = weights.latent_spread * latent_spread_loss(analysis.latent, model.levels)
        if weights.phase_pattern > 0:
            pattern = phase_pattern_loss(output.reconstruction, image, model.stride)
            terms["phase_pattern"] = weights.phase_pattern * pattern
        if weights.layerwise > 0 and analysis.features:
            distance = layerwise_loss(output.synthesis.features, analysis.features, self.detach_layerwise)
            terms["layerwise"] = weights.layerwise * distance
        prediction = output.synthesis.switch_prediction
        if prediction is not None:
            spn_loss = switch_prediction_loss(prediction, analysis.switches[0], analysis.tied[0])
            terms["switch_prediction"] = weights.switch_prediction * spn_loss
        return terms

    def perceptual_terms(self, image: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """Of one view; empty without the term."""
        if self.perceptual is None:
            return {}
        return {"perceptual": self.weights.perceptual * self.perceptual(reconstruction, image)}


@dataclass(frozen=True)
class DistortionWeights:
    """mse: k_M, of the mean squared error on [0, 255]; perceptual: k_P, of LPIPS.

    Artifact penalties, not in the paper, on [0, 255] too: phase_pattern (losses/auxiliary.py), local_color
    (losses/auxiliary.py).
    """

    mse: float = 0.075 * 2**-5
    perceptual: float = 1.0
    phase_pattern: float = 0.0
    local_color: float = 0.0

    def __post_init__(self) -> None:
        if min(self.mse, self.perceptual, self.phase_pattern, self.local_color) < 0:
            raise OptionError(f"weights of the distortion must be 0 or more: {self}")

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


@dataclass(frozen=True)
class Share:
    """The `count` images from the one at `first` on, of the `total` that a batch has on all ranks."""

    first: int
    count: int
    total: int

    def spread(self, samples: int | None) -> list[int]:
        """Places inside the share of those of `samples` images, spread over the whole batch, that are in it."""
        chosen = range(self.total) if samples is None else [n * self.total // samples for n in range(samples)]
        return sorted({place - self.first for place in chosen if self.first <= place < self.first + self.count})


class HificDistortion(Objective):
    """k_M MSE + k_P LPIPS of reconstructions, all images [B, 3, H, W] in [0, 1].

    Args, besides those of `Objective`:
        perceptual_samples: images of each batch of all ranks that the perceptual term looks at, spread over it; None
            for all.
    """

    def __init__(
        self,
        weights: DistortionWeights,
        perceptual: FrozenFeatureLoss | None,
        perceptual_samples: int | None = None,
        view_shift: int = 0,
    ) -> None:
        super().__init__(weights, perceptual, view_shift)
        if perceptual_samples is not None and perceptual_samples < 1:
            raise OptionError(f"perceptual_samples={perceptual_samples} must be 1 or more")
        self.perceptual_samples = perceptual_samples

    def terms(
        self,
        reconstruction: Tensor,
        image: Tensor,
        stride: int,
        generator: torch.Generator,
        share: Share | None = None,
    ) -> dict[str, Tensor]:
        """Of a training batch, or of the `share` of it that is at hand; `generator` moves the view."""
        terms = {"mse": self.weights.of_mse((reconstruction - image).square().mean())}
        terms |= self.weights.artifact_penalties(reconstruction, image, stride)
        if self.perceptual is not None and self.weights.perceptual > 0:
            share = share or Share(0, len(image), len(image))
            x_hat, x = shifted_crop((reconstruction, image), self.view_shift, generator)
            terms["perceptual"] = self.weights.perceptual * self._perceptual(2 * x_hat - 1, 2 * x - 1, share)
        return terms

    def _perceptual(self, x_hat: Tensor, x: Tensor, share: Share) -> Tensor:
        """So that the mean over all shares is that over the images that are looked at; 0 where none is in this one."""
        assert self.perceptual is not None
        places = share.spread(self.perceptual_samples)
        if not places:
            return x_hat.new_zeros(())
        looked_at = share.total if self.perceptual_samples is None else min(self.perceptual_samples, share.total)
        if len(places) < len(x):
            x_hat, x = x_hat[places], x[places]
        distance: Tensor = self.perceptual(x_hat, x)
        return distance * (len(places) * share.total / (share.count * looked_at))
