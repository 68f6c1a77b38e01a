"""SSIMULACRA2 on decoded images: a second source, its anchors, its order, and what is too small for it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from metrics import ssimulacra2_reference as reference
from PIL import Image
from ssimulacra2 import compute_ssimulacra2

from hific.metrics.fidelity import SSIMULACRA2
from hific.metrics.image_metric import Absent


def test_is_the_library_s_of_files(photo: np.ndarray, coded_photo: np.ndarray, tmp_path: Path) -> None:
    for name, pixels in (("a.png", photo), ("b.png", coded_photo)):
        Image.fromarray(pixels).save(tmp_path / name)
    assert SSIMULACRA2()(photo, coded_photo) == compute_ssimulacra2(tmp_path / "a.png", tmp_path / "b.png")


def coded(photo: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [90, 50, 10])
@pytest.mark.parametrize("shape", [(300, 340), (259, 301)])
def test_but_for_its_blur_the_library_is_the_reference(
    photo: np.ndarray, shape: tuple[int, int], quality: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written again from the C++. Beyond borders the reference has zeros; the library, along one axis, mirrors: its
    scores are lower, the more so the worse the picture."""
    image = photo[: shape[0], : shape[1]]
    reconstruction = coded(image, quality)
    expected = reference.ssimulacra2(image, reconstruction)
    as_it_is = SSIMULACRA2()(image, reconstruction)
    assert isinstance(as_it_is, float) and expected - 8 < as_it_is < expected
    monkeypatch.setattr("ssimulacra2.ssimulacra2.blur_image", reference.blur)
    assert SSIMULACRA2()(image, reconstruction) == pytest.approx(expected, abs=1e-3)


def test_the_reference_s_blur_is_a_gaussian_but_for_its_truncation() -> None:
    places = np.arange(-4, 5)
    gaussian = np.exp(-(places**2) / (2 * 1.5**2))
    assert reference.taps() == pytest.approx(gaussian / gaussian.sum(), abs=2.5e-3)
    assert reference.taps().sum() == pytest.approx(1, abs=1e-12)


def test_identical_is_100_and_worse_is_less(photo: np.ndarray) -> None:
    values = [SSIMULACRA2()(photo, photo)]
    values += [SSIMULACRA2()(photo, coded(photo, quality)) for quality in (90, 50, 10)]
    assert values[0] == pytest.approx(100) and values == sorted(values, reverse=True)
    # The metric's own scale: quality 90 of JPEG is about 90, 50 about 50 to 60.
    assert 75 < values[1] < 95 and 35 < values[2] < 75 and values[3] < 30


def test_absent_below_its_blocks(photo: np.ndarray) -> None:
    assert SSIMULACRA2()(photo[:7], photo[:7]) == Absent("a 340x7 image is below 8 pixels on a side")
    assert SSIMULACRA2()(photo[:8, :8], photo[:8, :8]) == pytest.approx(100)
