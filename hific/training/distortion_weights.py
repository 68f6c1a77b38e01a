"""What HiFiC's distortion is made of."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hific.losses.phase_pattern import phase_pattern_loss


@dataclass(frozen=True)
class DistortionWeights:
    """mse: k_M, of the mean squared error on [0, 255]; perceptual: k_P, of LPIPS; phase_pattern: on [0, 255] too, not
    in the paper, see losses/phase_pattern.py.
    """

    mse: float = 0.075 * 2**-5
    perceptual: float = 1.0
    phase_pattern: float = 0.0

    def of_mse(self, error: Tensor) -> Tensor:
        """The weighted term of a mean squared error on [0, 1]."""
        return self.mse * 255.0**2 * error

    def of_pattern(self, reconstruction: Tensor, image: Tensor, stride: int) -> dict[str, Tensor]:
        """The weighted term of the pattern, none without a weight; images on [0, 1]; stride: pixels of a latent."""
        if self.phase_pattern == 0:
            return {}
        return {"phase_pattern": self.phase_pattern * 255.0**2 * phase_pattern_loss(reconstruction, image, stride)}
