"""The CompressNet paper's perceptual loss as a metric: mean squared difference after AlexNet's 4th convolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from hific.errors import WeightsNotFoundError
from hific.metrics.absent import Absent, no_weights, smaller_than
from hific.metrics.image_metric import as_signed_tensor, check_pair
from hific.weights import load_alexnet_conv4

SMALLEST = 31
"""Below, AlexNet's second pool has no input."""


class PerceptualLoss:
    """The same number as `losses.perceptual.AlexNetPerceptualLoss` on 8-bit images scaled to [-1, 1]."""

    name = "perceptual_loss"
    higher_is_better = False

    def __init__(self, weights_dir: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        self._device = device
        self._network: nn.Module | None = None
        try:
            self._network = load_alexnet_conv4(weights_dir).to(device).to(memory_format=torch.channels_last)
        except WeightsNotFoundError:
            self._missing = no_weights("AlexNet")

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if self._network is None:
            return self._missing
        if absent := smaller_than(image, SMALLEST):
            return absent
        with torch.inference_mode():
            features = self._network(as_signed_tensor(image, self._device))
            other = self._network(as_signed_tensor(reconstruction, self._device))
            return float(nn.functional.mse_loss(other, features))
