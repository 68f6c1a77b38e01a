from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hific.metrics.frechet import AlexNetFrechetDistance, cut_patches, frechet_distance
from hific.metrics.image_metric import Absent
from hific.weights import load_features


@pytest.fixture(scope="module")
def large(photo: np.ndarray) -> np.ndarray:
    return np.tile(photo, (2, 2, 1))[:512, :512]


def test_identical_sets_and_worse_sets(random_weights_dir: Path, large: np.ndarray) -> None:
    distances = []
    for noise in (0, 20, 60):
        metric = AlexNetFrechetDistance(random_weights_dir)
        rng = np.random.default_rng(0)
        metric.update(large, (large + rng.normal(0, noise, large.shape)).clip(0, 255).astype(np.uint8))
        values = metric.compute()
        assert values["fd_alexnet_patches"] == 5
        distances.append(values["fd_alexnet"])
    assert distances[0] == pytest.approx(0, abs=1e-3)
    assert distances[0] < distances[1] < distances[2]


def test_against_features_taken_one_by_one(random_weights_dir: Path, large: np.ndarray) -> None:
    network = load_features("alexnet_features", random_weights_dir)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def features(image: np.ndarray) -> torch.Tensor:
        normalized = (cut_patches(image) / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
        return torch.cat([network(patch[None]).mean((2, 3)) for patch in normalized]).double()

    coarse = large // 32 * 32
    metric = AlexNetFrechetDistance(random_weights_dir)
    metric.update(large, coarse)
    expected = frechet_distance(features(large), features(coarse))
    assert expected > 1
    assert metric.compute()["fd_alexnet"] == pytest.approx(expected, rel=1e-3)


def test_absent_without_patches(random_weights_dir: Path, photo: np.ndarray) -> None:
    metric = AlexNetFrechetDistance(random_weights_dir)
    metric.update(photo[:1], photo[:1])
    assert isinstance(metric.compute()["fd_alexnet"], Absent)


@pytest.mark.usefixtures("no_weights")
def test_absent_without_weights(tmp_path: Path, photo: np.ndarray) -> None:
    metric = AlexNetFrechetDistance(tmp_path)
    metric.update(photo, photo)
    value = metric.compute()["fd_alexnet"]
    assert isinstance(value, Absent) and "AlexNet" in value.reason
