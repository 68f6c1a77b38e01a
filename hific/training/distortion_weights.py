"""What HiFiC's distortion is made of."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hific.losses.local_color import local_color_loss
from hific.losses.phase_pattern import phase_pattern_loss


@dataclass(frozen=True)
class DistortionWeights:
    """mse: k_M, of the mean squared error on [0, 255]; perceptual: k_P, of LPIPS.

    Not in the paper, on [0, 255] too: phase_pattern (losses/phase_pattern.py), local_color (losses/local_color.py).
    """

    mse: float = 0.075 * 2**-5
    perceptual: float = 1.0
    phase_pattern: float = 0.0
    local_color: float = 0.0

    def of_mse(self, error: Tensor) -> Tensor:
        """The weighted term of a mean squared error on [0, 1]."""
        return self.mse * 255.0**2 * error

    def of_flaws(self, reconstruction: Tensor, image: Tensor, stride: int) -> dict[str, Tensor]:
        """The weighted terms of what the eye sees and the two others do not, those with a weight; images on [0, 1];
        stride: pixels of a latent."""
        flaws = (
            ("phase_pattern", self.phase_pattern, phase_pattern_loss),
            ("local_color", self.local_color, local_color_loss),
        )
        return {
            name: weight * 255.0**2 * loss(reconstruction, image, stride) for name, weight, loss in flaws if weight > 0
        }
