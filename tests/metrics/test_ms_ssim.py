from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from hific.metrics.fidelity import MSSSIM
from hific.metrics.image_metric import Absent

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def reference_channel(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. 2003 in float64 NumPy for one channel [H, W] whose sides are multiples of 16."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(array: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(array, window, axis=0), window, axis=1)[5:-5, 5:-5]

    value = 1.0
    for scale, weight in enumerate(WEIGHTS):
        mean_1, mean_2 = blur(first), blur(second)
        variances = blur(first**2) - mean_1**2 + blur(second**2) - mean_2**2
        covariance = blur(first * second) - mean_1 * mean_2
        structure = (2 * covariance + (0.03 * 255) ** 2) / (variances + (0.03 * 255) ** 2)
        luminance = (2 * mean_1 * mean_2 + (0.01 * 255) ** 2) / (mean_1**2 + mean_2**2 + (0.01 * 255) ** 2)
        last = scale == len(WEIGHTS) - 1
        value *= max(float((luminance * structure if last else structure).mean()), 0) ** weight
        first, second = (a.reshape(a.shape[0] // 2, 2, a.shape[1] // 2, 2).mean(axis=(1, 3)) for a in (first, second))
    return value


def test_against_the_formula(photo: np.ndarray, coded_photo: np.ndarray) -> None:
    image, reconstruction = photo[:288, :320], coded_photo[:288, :320]
    channels = [reference_channel(image[..., c].astype(float), reconstruction[..., c].astype(float)) for c in range(3)]
    assert MSSSIM()(image, reconstruction) == pytest.approx(np.mean(channels), abs=1e-4)


def test_against_torchmetrics(photo: np.ndarray, coded_photo: np.ndarray) -> None:
    image, reconstruction = (
        torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() for array in (photo, coded_photo)
    )
    expected = float(multiscale_structural_similarity_index_measure(reconstruction, image, data_range=255.0))
    # torchmetrics pads at the borders
    assert MSSSIM()(photo, coded_photo) == pytest.approx(expected, abs=2e-3)


def test_absent_below_161_pixels(photo: np.ndarray) -> None:
    assert MSSSIM()(photo[:161, :161], photo[:161, :161]) == pytest.approx(1)
    for small in (photo[:160], photo[:, :160]):
        assert isinstance(MSSSIM()(small, small), Absent)
