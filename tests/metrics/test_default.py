"""Laws of all metrics together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hific.metrics.default import default_image_metrics, default_set_metrics
from hific.metrics.image_metric import Absent, ImageMetric

SHAPES = [(1, 1), (1, 500), (500, 1), (2, 3), (11, 40), (17, 17), (31, 31), (64, 500), (161, 170)]


@pytest.fixture(scope="module")
def metrics(random_weights_dir: Path) -> Sequence[ImageMetric]:
    return default_image_metrics(random_weights_dir)


def test_names_are_the_columns_of_the_results(metrics: Sequence[ImageMetric]) -> None:
    assert [metric.name for metric in metrics] == [
        "mse",
        "psnr",
        "ssim",
        "ms_ssim",
        "ssimulacra2",
        "lpips_alex",
        "lpips_squeeze",
        "fsimc",
        "dists",
        "perceptual_loss",
        "color_error",
        "niqe",
        "butteraugli",
        "vmaf",
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("content", ["noise", "grey", "flat", "black"])
def test_any_image_gives_numbers_or_reasons(
    metrics: Sequence[ImageMetric], shape: tuple[int, int], content: str
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    first, second = {
        "noise": noise,
        "grey": np.repeat(noise[..., :1], 3, axis=-1),
        "flat": np.stack([np.full_like(noise[0], 90), np.full_like(noise[0], 130)]),
        "black": np.stack([np.zeros_like(noise[0]), noise[0] // 2 + 1]),
    }[content]
    for metric in metrics:
        value = metric(first, second)
        assert (isinstance(value, Absent) and value.reason) or math.isfinite(value), metric.name


def test_worse_images_measure_worse(metrics: Sequence[ImageMetric], photo: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 1, photo.shape)
    steps = [(photo + noise * strength).clip(0, 255).astype(np.uint8) for strength in (0, 10, 30, 80)]
    for metric in metrics:
        values = [metric(photo, step) for step in steps]
        if isinstance(values[0], Absent):
            continue
        assert values == sorted(values, reverse=metric.higher_is_better) and len(set(values)) == 4, metric.name


def test_read_only_images_are_not_written_to(metrics: Sequence[ImageMetric], photo: np.ndarray) -> None:
    image, reconstruction = photo[:170, :170].copy(), photo[:170, :170][::-1].copy()
    expected = [metric(image, reconstruction) for metric in metrics]
    image.setflags(write=False)
    reconstruction.setflags(write=False)
    assert [metric(image, reconstruction) for metric in metrics] == expected


@pytest.mark.usefixtures("no_weights")
def test_without_weights_the_classical_metrics_remain(tmp_path: Path, photo: np.ndarray) -> None:
    values = {metric.name: metric(photo, photo[::-1].copy()) for metric in default_image_metrics(tmp_path)}
    by_programs = {"butteraugli", "vmaf"}
    assert {name for name, value in values.items() if isinstance(value, float)} - by_programs == {
        "mse",
        "psnr",
        "ssim",
        "ms_ssim",
        "ssimulacra2",
        "fsimc",
        "color_error",
    }
    for shape in SHAPES:
        noise = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
        for metric in default_image_metrics(tmp_path):
            value = metric(*noise)
            assert isinstance(value, Absent) or math.isfinite(value), metric.name
    names = [name for metric in default_set_metrics(tmp_path) for name in metric.compute()]
    assert names == ["fid", "kid", "fid_patches", "fd_alexnet", "fd_alexnet_patches"]
