"""Distances of two sets of images over patches: FID, KID (torch-fidelity), and `fd_alexnet`, which is not FID.

The patches that distances between sets are taken over (FID/256 of Mentzer et al. 2020).

An H x W image gives the floor(H/256) x floor(W/256) patches of a grid from the top left corner, and those of a second
grid that starts 128 further in both directions, where it fits.

    768 x 512:  3 x 2 patches  +  2 x 1 shifted ones  =  8
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from hific.errors import WeightsNotFoundError
from hific.metrics.image_metric import Absent, check_pair, no_weights
from hific.weights import ImageNetNormalization, load_features, read_state

PATCH = 256


def patch_corners(height: int, width: int, size: int = PATCH) -> list[tuple[int, int]]:
    """Top left corners (y, x) of the patches, those of the plain grid first; none where a side is below `size`."""
    return [
        (offset + row * size, offset + column * size)
        for offset in (0, size // 2)
        for row in range(max(height - offset, 0) // size)
        for column in range(max(width - offset, 0) // size)
    ]


def cut_patches(image: np.ndarray, size: int = PATCH) -> Tensor:
    """uint8 [H, W, 3] to uint8 [n, 3, size, size]; n may be 0."""
    corners = patch_corners(image.shape[0], image.shape[1], size)
    patches = np.empty((len(corners), size, size, 3), np.uint8)
    for index, (y, x) in enumerate(corners):
        patches[index] = image[y : y + size, x : x + size]
    return torch.from_numpy(patches).permute(0, 3, 1, 2)


class PatchFeatures:
    """Of the patches of images and of those of their reconstructions; without a network only their number."""

    def __init__(self, network: Callable[[Tensor], Tensor] | None) -> None:
        self.network = network
        self.num_patches = 0
        self._images: list[Tensor] = []
        self._reconstructions: list[Tensor] = []

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        check_pair(image, reconstruction)
        patches = cut_patches(image)
        self.num_patches += len(patches)
        if self.network is not None and len(patches):
            self._images.append(self.network(patches))
            self._reconstructions.append(self.network(cut_patches(reconstruction)))

    @property
    def images(self) -> Tensor:
        return torch.cat(self._images)

    @property
    def reconstructions(self) -> Tensor:
        return torch.cat(self._reconstructions)


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
        self._minimum_patches = minimum_patches
        network = _load_inception(weights_file, download)

        @torch.inference_mode()
        def features(patches: Tensor) -> Tensor:
            (found,) = network(patches.to(device))  # type: ignore[misc]
            return found.cpu()

        if network is not None:
            network.to(device)
        self._patches = PatchFeatures(None if network is None else features)

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        self._patches.update(image, reconstruction)

    def compute(self) -> dict[str, float | Absent]:
        """`fid`, `kid` and `fid_patches`."""
        distances: dict[str, float | Absent]
        if absent := self._reason():
            distances = {"fid": absent, "kid": absent}
        else:
            features, other = self._patches.images, self._patches.reconstructions
            distances = {"fid": frechet_distance(features, other), "kid": kernel_distance(features, other)}
        return {**distances, "fid_patches": float(self._patches.num_patches)}

    def _reason(self) -> Absent | None:
        if self._patches.network is None:
            return Absent("no Inception weights")
        if self._patches.num_patches < self._minimum_patches:
            return Absent(f"{self._patches.num_patches} patches are fewer than {self._minimum_patches}")
        return None


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
    path = Path(weights_file) if weights_file else cached_inception()
    if weights_file and not path.is_file():
        raise FileNotFoundError(f"no Inception weights file {path}")
    if not path.is_file():
        if not download:
            return None
        return FeatureExtractorInceptionV3("inception-v3-compat", [str(FEATURES)], verbose=False)
    read_state(path)  # torch-fidelity would run code from the file; one that is read here holds none
    return FeatureExtractorInceptionV3("inception-v3-compat", [str(FEATURES)], feature_extractor_weights_path=str(path))


def cached_inception() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[-1]


class AlexNetFrechetDistance:
    """Frechet distance over the 256 channels of AlexNet's last pool, averaged over each 256x256 patch.

    It falls with the number of patches (`fd_alexnet_patches`), as any Frechet distance does: compare systems only over
    the same images.
    """

    def __init__(self, weights_dir: str | Path | None = None, *, device: str | torch.device = "cpu") -> None:
        network: Callable[[Tensor], Tensor] | None = None
        try:
            alexnet = load_features("alexnet_features", weights_dir)
            pooled = nn.Sequential(ImageNetNormalization(), alexnet, nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(device)

            @torch.inference_mode()
            def features(patches: Tensor) -> Tensor:
                # float64: the trace of a product of near-singular covariances loses digits in float32
                return pooled(patches.to(device).float() / 127.5 - 1).double().cpu()

            network = features
        except WeightsNotFoundError:
            self._missing = no_weights("AlexNet")
        self._patches = PatchFeatures(network)

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        self._patches.update(image, reconstruction)

    def compute(self) -> dict[str, float | Absent]:
        """`fd_alexnet` and `fd_alexnet_patches`."""
        return {"fd_alexnet": self._distance(), "fd_alexnet_patches": float(self._patches.num_patches)}

    def _distance(self) -> float | Absent:
        if self._patches.network is None:
            return self._missing
        if self._patches.num_patches < 2:
            return Absent(f"{self._patches.num_patches} patches of 256x256; a covariance needs 2")
        return frechet_distance(self._patches.images, self._patches.reconstructions)
