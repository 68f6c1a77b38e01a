"""DISTS (Ding et al. 2020) by piq: structure and texture of VGG-16 features; 0 for identical images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import piq
import torch
from piq.perceptual import VGG16_LAYERS, ContentLoss
from torch import Tensor, nn

from hific.errors import WeightsFileError, WeightsNotFoundError
from hific.metrics.absent import Absent, no_weights, smaller_than
from hific.metrics.image_metric import as_tensor, check_pair
from hific.weights import find_weights, load_features, read_state

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
CHANNELS = [3, 64, 128, 256, 512, 512]
SMALLEST = 16
"""Below, the deepest features are less than one sixteenth of a pixel each."""


class OfflineDISTS(piq.DISTS):
    """piq's DISTS with weights from files at hand: piq's own constructor would download them."""

    def __init__(self, vgg16_features: nn.Module, alpha: Tensor, beta: Tensor) -> None:
        ContentLoss.__init__(
            self,
            vgg16_features,
            layers=[VGG16_LAYERS[layer] for layer in LAYERS],
            weights=[*alpha.split(CHANNELS, dim=1), *beta.split(CHANNELS, dim=1)],
            replace_pooling=True,
            allow_layers_weights_mismatch=True,
        )


class DISTS:
    """Absent without torchvision's VGG-16 (`vgg16_features`) and piq's `dists` weights."""

    name = "dists"
    higher_is_better = False

    def __init__(self, weights_dir: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        self._device = device
        self._model: OfflineDISTS | None = None
        try:
            self._model = _load_dists(weights_dir).to(device)
        except WeightsNotFoundError:
            self._missing = no_weights("VGG-16 and DISTS")

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if self._model is None:
            return self._missing
        if absent := smaller_than(image, SMALLEST):
            return absent
        with torch.inference_mode():
            value = self._model(as_tensor(reconstruction, self._device) / 255, as_tensor(image, self._device) / 255)
        return float(value)


def _load_dists(weights_dir: str | Path | None) -> OfflineDISTS:
    path = find_weights("dists", weights_dir)
    balance = read_state(path)
    if not {"alpha", "beta"} <= balance.keys():
        raise WeightsFileError(f"{path} does not hold the weights alpha and beta of DISTS")
    return OfflineDISTS(load_features("vgg16_features", weights_dir), balance["alpha"], balance["beta"])
