"""FID (Heusel et al. 2017) and KID (Binkowski et al. 2018) by torch-fidelity, over 256x256 patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from hific.metrics.absent import Absent
from hific.metrics.image_metric import check_pair
from hific.metrics.patches import cut_patches
from hific.weights import read_state

FEATURES = 2048
KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000


class InceptionDistances:
    """FID and KID between images and reconstructions; `fid_patches` is the number of patches of each set.

    Absent with the reason without Inception-v3 weights, and below 2048 patches, where the covariance of the 2048
    features has no full rank: 24 images are too few.

    Args:
        weights_file: torch-fidelity's Inception file; by default the one in the torch hub cache, where torch-fidelity
            keeps it.
        download: let torch-fidelity download it if it is not there.
        minimum_patches: below, the distances are absent; at least 1000, the size of KID's subsets.
    """

    def __init__(
        self,
        weights_file: str | Path | None = None,
        *,
        download: bool = False,
        device: str | torch.device = "cpu",
        minimum_patches: int = FEATURES,
    ) -> None:
        if minimum_patches < KID_SUBSET_SIZE:
            raise ValueError(f"minimum_patches={minimum_patches} is below KID's subsets of {KID_SUBSET_SIZE}")
        self._device = device
        self._minimum_patches = minimum_patches
        self._network = _load_inception(weights_file, download)
        if self._network is not None:
            self._network.to(device)
        self._image_features: list[Tensor] = []
        self._reconstruction_features: list[Tensor] = []
        self._num_patches = 0

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        check_pair(image, reconstruction)
        patches = cut_patches(image)
        self._num_patches += len(patches)
        if self._network is None or len(patches) == 0:
            return
        self._image_features.append(self._features(patches))
        self._reconstruction_features.append(self._features(cut_patches(reconstruction)))

    def compute(self) -> dict[str, float | Absent]:
        """`fid`, `kid` and `fid_patches`."""
        distances: dict[str, float | Absent]
        if absent := self._reason():
            distances = {"fid": absent, "kid": absent}
        else:
            features, other = torch.cat(self._image_features), torch.cat(self._reconstruction_features)
            distances = {"fid": frechet_distance(features, other), "kid": kernel_distance(features, other)}
        return {**distances, "fid_patches": float(self._num_patches)}

    def _reason(self) -> Absent | None:
        if self._network is None:
            return Absent("no Inception weights")
        if self._num_patches < self._minimum_patches:
            return Absent(f"{self._num_patches} patches are fewer than {self._minimum_patches}")
        return None

    def _features(self, patches: Tensor) -> Tensor:
        assert self._network is not None
        with torch.inference_mode():
            (features,) = self._network(patches.to(self._device))
        return features.cpu()


def frechet_distance(features: Tensor, other: Tensor) -> float:
    """Frechet distance between the Gaussians of two sets of features [n, D], n at least 2."""
    statistics = fid_features_to_statistics(features)
    return float(fid_statistics_to_metric(statistics, fid_features_to_statistics(other), verbose=False)[KEY_METRIC_FID])


def kernel_distance(features: Tensor, other: Tensor) -> float:
    """Unbiased MMD^2 with the cubic kernel of two sets of features [n, D], the mean over 100 subsets of 1000."""
    metrics = kid_features_to_metric(
        features, other, kid_subsets=KID_SUBSETS, kid_subset_size=KID_SUBSET_SIZE, verbose=False
    )
    return float(metrics[KEY_METRIC_KID_MEAN])


def _load_inception(weights_file: str | Path | None, download: bool) -> nn.Module | None:
    path = Path(weights_file) if weights_file else _cached_weights()
    if weights_file and not path.is_file():
        raise FileNotFoundError(f"no Inception weights file {path}")
    if not path.is_file():
        if not download:
            return None
        return FeatureExtractorInceptionV3("inception-v3-compat", [str(FEATURES)], verbose=False)
    read_state(path)  # torch-fidelity would run code from the file; one that is read here holds none
    return FeatureExtractorInceptionV3("inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=str(path))


def _cached_weights() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[-1]
