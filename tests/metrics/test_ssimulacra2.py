"""SSIMULACRA2: the reference's own values, a second source, anchors, order, and what is too small for it."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from metrics import ssimulacra2_reference as reference
from PIL import Image

from hific.metrics.image_metric import Absent
from hific.metrics.ssimulacra2 import SMALLEST, SSIMULACRA2, blur, gaussian_taps

# By the program of github.com/cloudinary/ssimulacra2 at 81feacf (2.1), in float32: (height, width), step of the
# grid that pixels are rounded to, score.
OF_THE_PROGRAM = [
    ((300, 340), 16, 61.582),
    ((300, 340), 40, 3.768),
    ((300, 340), 80, -51.379),
    ((259, 301), 16, 59.329),
    ((259, 301), 40, -0.132),
    ((259, 301), 80, -54.165),
    ((113, 113), 16, 68.160),
    ((113, 113), 40, 0.207),
    ((113, 113), 80, -17.282),
]


def rounded(photo: np.ndarray, step: int) -> np.ndarray:
    return np.clip(np.round(photo / step) * step, 0, 255).astype(np.uint8)


def coded(photo: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(("shape", "step", "score"), OF_THE_PROGRAM)
def test_is_that_of_the_reference_s_program(photo: np.ndarray, shape: tuple[int, int], step: int, score: float) -> None:
    image = photo[: shape[0], : shape[1]]
    assert SSIMULACRA2()(image, rounded(image, step)) == pytest.approx(score, abs=0.04)


@pytest.mark.parametrize("quality", [90, 50, 10])
@pytest.mark.parametrize("shape", [(300, 340), (259, 301), (SMALLEST, SMALLEST)])
def test_is_that_of_the_reference_written_again(photo: np.ndarray, shape: tuple[int, int], quality: int) -> None:
    image = photo[: shape[0], : shape[1]]
    reconstruction = coded(image, quality)
    expected = reference.ssimulacra2(image, reconstruction)
    assert SSIMULACRA2()(image, reconstruction) == pytest.approx(expected, abs=1e-3)


def test_blurs_as_the_recursive_filter() -> None:
    image = np.random.default_rng(0).random((40, 30, 3))
    assert blur(image, gaussian_taps()) == pytest.approx(reference.blur(image), abs=1e-12)
    gaussian = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 1.5**2))
    assert gaussian_taps() == pytest.approx(gaussian / gaussian.sum(), abs=2.5e-3)
    assert gaussian_taps().sum() == pytest.approx(1, abs=1e-12)


def test_identical_is_100_and_worse_is_less(photo: np.ndarray) -> None:
    values = [SSIMULACRA2()(photo, photo)]
    values += [SSIMULACRA2()(photo, coded(photo, quality)) for quality in (90, 50, 10)]
    assert values[0] == pytest.approx(100) and values == sorted(values, reverse=True)
    # The metric's own scale: quality 90 of JPEG is about 90, 50 about 50 to 60.
    assert 75 < values[1] < 95 and 35 < values[2] < 75 and values[3] < 30


def test_absent_where_scales_are_missing(photo: np.ndarray) -> None:
    assert SSIMULACRA2()(photo[:112], photo[:112]) == Absent("a 340x112 image is below 113 pixels on a side")
    assert SSIMULACRA2()(photo[:113, :113], photo[:113, :113]) == pytest.approx(100)
