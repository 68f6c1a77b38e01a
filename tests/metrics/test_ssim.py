from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from hific.metrics.fidelity import SSIM
from hific.metrics.image_metric import Absent


@pytest.mark.parametrize("side", [11, 60, 300])
def test_against_scikit_image(photo: np.ndarray, coded_photo: np.ndarray, side: int) -> None:
    image, reconstruction = photo[:side], coded_photo[:side]
    expected = structural_similarity(
        image,
        reconstruction,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert SSIM()(image, reconstruction) == pytest.approx(expected, abs=1e-4)


def test_large_images_are_not_halved(photo: np.ndarray, coded_photo: np.ndarray) -> None:
    # mirrored on both axes: the same local statistics but for the seams, at twice the size
    large, large_coded = (
        np.concatenate([rows, rows[:, ::-1]], axis=1)
        for rows in (np.concatenate([array, array[::-1]]) for array in (photo, coded_photo))
    )
    assert SSIM()(large, large_coded) == pytest.approx(SSIM()(photo, coded_photo), abs=0.01)


def test_absent_below_its_window(photo: np.ndarray) -> None:
    assert SSIM()(photo[:10], photo[:10]) == Absent("a 340x10 image is below 11 pixels on a side")
    assert SSIM()(photo[:11], photo[:11]) == pytest.approx(1)
