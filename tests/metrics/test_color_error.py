from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from hific.metrics.fidelity import ColorError

# CIE Lab of the sRGB primaries under D65, as tabulated by Lindbloom.
PUBLISHED_LAB = {
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("first", PUBLISHED_LAB)
@pytest.mark.parametrize("second", PUBLISHED_LAB)
def test_published_colors(first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
    image, reconstruction = (np.full((3, 4, 3), color, np.uint8) for color in (first, second))
    expected = math.dist(PUBLISHED_LAB[first], PUBLISHED_LAB[second])
    assert ColorError()(image, reconstruction) == pytest.approx(expected, abs=0.05)


def test_against_opencv(photo: np.ndarray, coded_photo: np.ndarray) -> None:
    lab = [cv2.cvtColor(array.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for array in (photo, coded_photo)]
    expected = np.linalg.norm(lab[0] - lab[1], axis=2).mean()
    assert expected > 3
    # OpenCV interpolates the curves in tables
    assert ColorError()(photo, coded_photo) == pytest.approx(expected, rel=5e-3)


def test_a_hue_shift_costs_more_than_noise_of_the_same_mse(photo: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    middle = (photo // 2 + 64).astype(int)
    noise = rng.choice([-20, 20], size=(*photo.shape[:2], 1))
    noisy, shifted = middle + noise, middle + np.array([20, -20, 20])
    as_bytes = [array.astype(np.uint8) for array in (middle, noisy, shifted)]
    assert ColorError()(as_bytes[0], as_bytes[2]) > 1.5 * ColorError()(as_bytes[0], as_bytes[1])
