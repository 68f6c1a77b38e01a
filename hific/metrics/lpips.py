"""LPIPS v0.1 (Zhang et al. 2018) through the lpips package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hific.errors import WeightsNotFoundError
from hific.metrics.absent import Absent, no_weights, smaller_than
from hific.metrics.image_metric import as_signed_tensor, check_pair
from hific.weights import LPIPSNet, load_lpips

SMALLEST: dict[LPIPSNet, int] = {"alex": 31, "squeeze": 17}
"""Below, the trunk's last pool has no input."""


class LPIPS:
    """`lpips_alex`, or `lpips_squeeze` as the second opinion of a network that no model here is trained on."""

    higher_is_better = False

    def __init__(
        self, net: LPIPSNet = "alex", weights_dir: str | Path | None = None, *, device: str | torch.device = "cpu"
    ) -> None:
        self.name = f"lpips_{net}"
        self._net: LPIPSNet = net
        self._device = device
        self._model: Any = None
        try:
            self._model = load_lpips(net, weights_dir).to(device).to(memory_format=torch.channels_last)
        except WeightsNotFoundError:
            self._missing = no_weights({"alex": "AlexNet", "squeeze": "SqueezeNet"}[net])

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if self._model is None:
            return self._missing
        if absent := smaller_than(image, SMALLEST[self._net]):
            return absent
        with torch.inference_mode():
            value = self._model(as_signed_tensor(reconstruction, self._device), as_signed_tensor(image, self._device))
        return float(value)
