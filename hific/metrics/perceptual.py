"""Distances of the features of pretrained networks: LPIPS, DISTS, and the paper's perceptual loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import piq
import torch
from piq.perceptual import VGG16_LAYERS, ContentLoss
from torch import Tensor, nn

from hific.errors import WeightsFileError, WeightsNotFoundError
from hific.metrics.image_metric import Absent, as_signed_tensor, as_tensor, check_pair, no_weights, smaller_than
from hific.weights import LPIPSNet, find_weights, load_alexnet_conv4, load_features, load_lpips, read_state

SMALLEST_CONV4 = 31
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
        if absent := smaller_than(image, SMALLEST_CONV4):
            return absent
        with torch.inference_mode():
            features = self._network(as_signed_tensor(image, self._device))
            other = self._network(as_signed_tensor(reconstruction, self._device))
            return float(nn.functional.mse_loss(other, features))


SMALLEST_LPIPS: dict[LPIPSNet, int] = {"alex": 31, "squeeze": 17}
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
        if absent := smaller_than(image, SMALLEST_LPIPS[self._net]):
            return absent
        with torch.inference_mode():
            value = self._model(as_signed_tensor(reconstruction, self._device), as_signed_tensor(image, self._device))
        return float(value)


LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
CHANNELS = [3, 64, 128, 256, 512, 512]
SMALLEST_DISTS = 16
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
        if absent := smaller_than(image, SMALLEST_DISTS):
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
