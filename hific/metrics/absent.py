"""A metric that cannot be computed is absent with its reason: never 0, NaN or a stand-in under its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Absent:
    """Takes the place of a metric's value."""

    reason: str

    def __str__(self) -> str:
        return f"absent: {self.reason}"


def smaller_than(image: np.ndarray, minimum: int) -> Absent | None:
    """Absent where a side of the image [H, W, 3] is below what the metric needs, else None."""
    height, width = image.shape[:2]
    if min(height, width) < minimum:
        return Absent(f"a {width}x{height} image is below {minimum} pixels on a side")
    return None


def no_weights(name: str) -> Absent:
    """Absent because the pretrained network is not at hand."""
    return Absent(f"no {name} weights (name their folder by weights.dir or HIFIC_WEIGHTS)")
