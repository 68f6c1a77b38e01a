"""`fd_alexnet`: a Frechet distance on AlexNet features. It is not FID, and is never reported as FID."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hific.errors import WeightsNotFoundError
from hific.metrics.absent import Absent, no_weights
from hific.metrics.frechet import frechet_distance
from hific.metrics.image_metric import check_pair
from hific.metrics.patches import cut_patches
from hific.weights import ImageNetNormalization, load_features


class AlexNetFrechetDistance:
    """Frechet distance over the 256 channels of AlexNet's last pool, averaged over each 256x256 patch.

    It falls with the number of patches (`fd_alexnet_patches`), as any Frechet distance does: compare systems only over
    the same images.
    """

    def __init__(self, weights_dir: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        self._device = device
        self._network: nn.Module | None = None
        try:
            features = load_features("alexnet_features", weights_dir)
            pooled = nn.Sequential(ImageNetNormalization(), features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self._network = pooled.to(device)
        except WeightsNotFoundError:
            self._missing = no_weights("AlexNet")
        self._image_features: list[Tensor] = []
        self._reconstruction_features: list[Tensor] = []
        self._num_patches = 0

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        check_pair(image, reconstruction)
        patches = cut_patches(image)
        self._num_patches += len(patches)
        if self._network is None or len(patches) == 0:
            return
        self._image_features.append(self._features(self._network, patches))
        self._reconstruction_features.append(self._features(self._network, cut_patches(reconstruction)))

    def compute(self) -> dict[str, float | Absent]:
        """`fd_alexnet` and `fd_alexnet_patches`."""
        return {"fd_alexnet": self._distance(), "fd_alexnet_patches": float(self._num_patches)}

    def _distance(self) -> float | Absent:
        if self._network is None:
            return self._missing
        if self._num_patches < 2:
            return Absent(f"{self._num_patches} patches of 256x256; a covariance needs 2")
        return frechet_distance(torch.cat(self._image_features), torch.cat(self._reconstruction_features))

    def _features(self, network: nn.Module, patches: Tensor) -> Tensor:
        with torch.inference_mode():
            # float64: the trace of a product of near-singular covariances loses digits in float32
            return network(patches.to(self._device).float() / 127.5 - 1).double().cpu()
