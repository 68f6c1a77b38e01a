"""SSIMULACRA2 on decoded images: its anchors, its order, and what is too small for it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ssimulacra2 import compute_ssimulacra2

from hific.metrics.fidelity import SSIMULACRA2
from hific.metrics.image_metric import Absent


def test_is_the_library_s_of_files(photo: np.ndarray, coded_photo: np.ndarray, tmp_path: Path) -> None:
    for name, pixels in (("a.png", photo), ("b.png", coded_photo)):
        Image.fromarray(pixels).save(tmp_path / name)
    assert SSIMULACRA2()(photo, coded_photo) == compute_ssimulacra2(tmp_path / "a.png", tmp_path / "b.png")


def test_identical_is_100_and_worse_is_less(photo: np.ndarray) -> None:
    values = [SSIMULACRA2()(photo, photo)]
    for quality in (90, 50, 10):
        file = BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=quality)
        values.append(SSIMULACRA2()(photo, np.asarray(Image.open(file))))
    assert values[0] == pytest.approx(100) and values == sorted(values, reverse=True)
    # The metric's own scale: quality 90 of JPEG is about 90, 50 about 50 to 60.
    assert 75 < values[1] < 95 and 35 < values[2] < 75 and values[3] < 30


def test_absent_below_its_blocks(photo: np.ndarray) -> None:
    assert SSIMULACRA2()(photo[:7], photo[:7]) == Absent("a 340x7 image is below 8 pixels on a side")
    assert SSIMULACRA2()(photo[:8, :8], photo[:8, :8]) == pytest.approx(100)
