from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hific.losses.perceptual import AlexNetPerceptualLoss
from hific.metrics.image_metric import Absent
from hific.metrics.perceptual import SMALLEST_CONV4, PerceptualLoss


def test_is_the_training_loss(random_weights_dir: Path, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    image, reconstruction = (
        torch.from_numpy(array.copy()).permute(2, 0, 1)[None] / 127.5 - 1 for array in (photo, coded_photo)
    )
    expected = float(AlexNetPerceptualLoss(random_weights_dir)(reconstruction, image))
    assert expected > 0.01
    assert PerceptualLoss(random_weights_dir)(photo, coded_photo) == pytest.approx(expected, rel=1e-4)
    assert PerceptualLoss(random_weights_dir)(photo, photo) == 0


def test_smallest_image(random_weights_dir: Path, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    metric = PerceptualLoss(random_weights_dir)
    assert isinstance(
        metric(photo[:SMALLEST_CONV4, :SMALLEST_CONV4], coded_photo[:SMALLEST_CONV4, :SMALLEST_CONV4]), float
    )
    assert isinstance(metric(photo[: SMALLEST_CONV4 - 1], coded_photo[: SMALLEST_CONV4 - 1]), Absent)


@pytest.mark.usefixtures("no_weights")
def test_absent_without_weights(tmp_path: Path, photo: np.ndarray) -> None:
    assert isinstance(PerceptualLoss(tmp_path)(photo, photo), Absent)
