"""Images as files hold them."""

from __future__ import annotations

from torch import Tensor


def to_256_levels(image: Tensor) -> Tensor:
    """[0, 1] as an 8-bit file would hold it."""
    return (image.clamp(0, 1) * 255).round() / 255
