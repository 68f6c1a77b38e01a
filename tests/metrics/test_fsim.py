from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from hific.metrics.fidelity import FSIMc
from hific.metrics.image_metric import Absent


@pytest.fixture(scope="module")
def reference():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("fsim_reference", Path(__file__).with_name("fsim_reference.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fsimc


@pytest.mark.parametrize("shape", [(300, 340), (128, 97), (101, 160)])
def test_against_the_paper_written_again(  # type: ignore[no-untyped-def]
    photo: np.ndarray, coded_photo: np.ndarray, shape: tuple[int, int], reference
) -> None:
    image, reconstruction = photo[: shape[0], : shape[1]], coded_photo[: shape[0], : shape[1]]
    assert FSIMc()(image, reconstruction) == pytest.approx(reference(image, reconstruction), abs=5e-5)


def test_color_counts(photo: np.ndarray) -> None:
    grey = np.repeat(photo.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    tinted = grey.copy()
    tinted[..., 0] = np.clip(tinted[..., 0].astype(int) + 60, 0, 255)
    tinted[..., 1] = np.clip(tinted[..., 1].astype(int) - 31, 0, 255)  # keeps the luminance
    assert FSIMc()(grey, grey) == pytest.approx(1)
    assert FSIMc()(grey, tinted) < 0.999


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (1, 1)])
def test_absent_on_lines_and_points(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert isinstance(FSIMc()(image, image), Absent)


def test_absent_on_flat_images() -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    assert FSIMc()(image, image + 40) == Absent("FSIMc is undefined on flat images")
