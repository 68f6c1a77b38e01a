"""SSIMULACRA2 (Sneyers, 2023, version 2.1) as its reference in C++ computes it.

From the parts of the package `ssimulacra2` but for its blur, which mirrors at two of the four borders where the
reference has zeros at all: that lowers scores, the more so the worse the picture (4.2 for 10.1 on one photo).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import correlate1d
from scipy.signal import lfilter
from ssimulacra2 import ssimulacra2 as parts

from hific.metrics.image_metric import Absent, check_pair, smaller_than

SCALES = 6
SMALLEST = 7 * 2**4 + 1
"""113: the reference takes a sixth scale where the fifth has 8 pixels a side; weights of fewer are of other places."""
SIGMA, RADIUS = 1.5, 5


class SSIMULACRA2:
    """Structure and edges at six scales of XYB: 100 is identical, 90 and up hardly told apart, 50 medium quality;
    below 0 for what is very bad. Absent below 113 pixels on a side."""

    name = "ssimulacra2"
    higher_is_better = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if absent := smaller_than(image, SMALLEST):
            return absent
        score = parts.Msssim()
        taps = gaussian_taps()
        for first, second in zip(_scales(image), _scales(reconstruction), strict=True):
            first_mean, second_mean = blur(first, taps), blur(second, taps)
            products = (blur(one * other, taps) for one, other in ((first, first), (second, second), (first, second)))
            scale = parts.MsssimScale()
            scale.avg_ssim = parts.ssim_map(first_mean, second_mean, *products)
            scale.avg_edgediff = parts.edge_diff_map(first, first_mean, second, second_mean)
            score.scales.append(scale)
        return float(score.score())


def _scales(image: np.ndarray) -> Iterator[np.ndarray]:
    """[H, W, 3] in 0..255 to positive XYB at the full size and five halvings of linear light."""
    linear = parts.srgb_to_linear(image)
    for number in range(SCALES):
        if number:
            linear = parts.downsample(linear, 2, 2)
        yield parts.make_positive_xyb(parts.linear_rgb_to_xyb(linear))


def gaussian_taps() -> np.ndarray:
    """[9]: what the reference's recursive Gaussian of truncated cosines comes to (Charalampidis 2016, table I and
    equations 33 to 57)."""
    odd = np.array([1, 3, 5])
    omega = odd * np.pi / (2 * RADIUS)
    sign = np.array([1, -1, 1])
    p = sign / np.tan(omega / 2)
    r = sign * p**2 / np.sin(omega)
    rho = np.exp(-0.5 * SIGMA**2 * omega**2) / RADIUS
    minor = p * np.roll(r, -1) - r * np.roll(p, -1)  # of 1, 3; of 3, 5; of 5, 1
    zeta = np.array([minor[1] / minor[0], minor[2] / minor[0], 1])
    beta = np.linalg.solve(np.array([p, r, zeta]), np.array([1, RADIUS**2 - SIGMA**2, zeta @ rho]))
    two = np.zeros(2 * RADIUS + 3)  # y[n] = b (x[n - R - 1] + x[n + R - 1]) + 2 cos(omega) y[n - 1] - y[n - 2]
    two[[0, 2 * RADIUS]] = 1
    found = [
        lfilter([-b * np.cos(w * (RADIUS + 1))], [1, -2 * np.cos(w), 1], two) for b, w in zip(beta, omega, strict=True)
    ]
    return np.sum(found, axis=0)[: 2 * RADIUS - 1]


def blur(image: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Of [H, W, C]; nothing is beyond the borders."""
    return correlate1d(correlate1d(image, taps, axis=0, mode="constant"), taps, axis=1, mode="constant")
