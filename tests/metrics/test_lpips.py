from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hific.losses.perceptual import LPIPSLoss
from hific.metrics.image_metric import Absent
from hific.metrics.perceptual import LPIPS, SMALLEST_LPIPS
from hific.weights import LPIPSNet


@pytest.mark.parametrize(("net", "value"), [("squeeze", 0.1005), ("alex", 0.1469)])
def test_published_values(net: LPIPSNet, value: float, weights_dir: Path) -> None:
    """torchmetrics' documented pair, at 8 bits."""
    torch.manual_seed(42)
    pair = [torch.rand(10, 3, 100, 100).mul(255).round().byte().permute(0, 2, 3, 1).numpy() for _ in range(2)]
    metric = LPIPS(net, weights_dir)
    assert np.mean([metric(*images) for images in zip(*pair, strict=True)]) == pytest.approx(value, abs=1e-4)
    assert metric.name == f"lpips_{net}"


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_against_the_loss(net: LPIPSNet, random_weights_dir: Path, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    image, reconstruction = (
        torch.from_numpy(array.copy()).permute(2, 0, 1)[None] / 127.5 - 1 for array in (photo, coded_photo)
    )
    expected = float(LPIPSLoss(net, random_weights_dir)(reconstruction, image))
    assert expected > 1e-3
    assert LPIPS(net, random_weights_dir)(photo, coded_photo) == pytest.approx(expected, rel=1e-4)
    assert LPIPS(net, random_weights_dir)(photo, photo) == 0


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_smallest_image(net: LPIPSNet, random_weights_dir: Path, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    metric, side = LPIPS(net, random_weights_dir), SMALLEST_LPIPS[net]
    assert isinstance(metric(photo[:side, :side], coded_photo[:side, :side]), float)
    assert isinstance(metric(photo[: side - 1], coded_photo[: side - 1]), Absent)


@pytest.mark.usefixtures("no_weights")
def test_absent_without_weights(tmp_path: Path, photo: np.ndarray) -> None:
    value = LPIPS("alex", tmp_path)(photo, photo)
    assert isinstance(value, Absent) and "AlexNet" in value.reason
