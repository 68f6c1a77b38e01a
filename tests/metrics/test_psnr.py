from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from hific.metrics.fidelity import MSE, PSNR


def test_against_scikit_image_and_numpy(photo: np.ndarray, coded_photo: np.ndarray) -> None:
    assert PSNR()(photo, coded_photo) == pytest.approx(peak_signal_noise_ratio(photo, coded_photo, data_range=255))
    assert MSE()(photo, coded_photo) == pytest.approx(np.square(photo.astype(float) - coded_photo).mean())
    assert MSE()(photo, coded_photo) == pytest.approx(mean_squared_error(photo, coded_photo))


@given(base=st.integers(0, 255), other=st.integers(0, 255))
def test_formula_on_flat_images(base: int, other: int) -> None:
    image = np.full((4, 5, 3), base, np.uint8)
    reconstruction = np.full((4, 5, 3), other, np.uint8)
    assert MSE()(image, reconstruction) == (base - other) ** 2
    expected = math.inf if base == other else 20 * math.log10(255 / abs(base - other))
    assert PSNR()(image, reconstruction) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("image", "reconstruction"),
    [
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)),
        (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.float32)),
        (np.zeros((0, 4, 3), np.uint8), np.zeros((0, 4, 3), np.uint8)),
    ],
)
def test_only_8_bit_rgb_pairs_of_one_size(image: np.ndarray, reconstruction: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image"):
        PSNR()(image, reconstruction)
