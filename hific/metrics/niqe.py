"""NIQE: how far a picture's local statistics are from those of unharmed photographs. The original is not asked.

Mittal, Soundararajan & Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE Signal Processing Letters
2013, with the authors' parameters: blocks of 96 pixels, all of them, at two scales; a Gaussian window of 7 pixels.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import gamma

from hific.errors import DAMAGED_FILE, WeightsFileError, WeightsNotFoundError
from hific.metrics.image_metric import Absent, check_pair, no_weights, smaller_than
from hific.weights import find_weights

BLOCK, NUM_FEATURES = 96, 36
LARGEST_FILE = 2**20  # bytes of the parameters, unpacked: they are 11 kB
SMALLEST = 2 * BLOCK
"""Of fewer blocks there is no covariance to speak of."""
# Neighbors whose products are looked at: to the right, below, and on both diagonals; rows and columns to roll by.
NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))
SHAPES = np.arange(0.2, 10.001, 0.001)
MOMENT_RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))  # rises with the shape

Array = NDArray[np.float64]


class NIQE:
    """Of the reconstruction's luma; 3 to 5 for photos, more for what does not look like one. Absent below 192 pixels
    on a side, where all blocks are flat, and without the file `niqe_pris_params.npz`."""

    name = "niqe"
    higher_is_better = False

    def __init__(self, weights_dir: str | Path | None = None) -> None:
        self._photographs: tuple[Array, Array] | None = None
        try:
            self._photographs = _read(find_weights("niqe", weights_dir))
        except WeightsNotFoundError:
            self._missing = no_weights("NIQE")

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if self._photographs is None:
            return self._missing
        if absent := smaller_than(image, SMALLEST):
            return absent
        features = block_features(cv2.cvtColor(reconstruction, cv2.COLOR_RGB2GRAY).astype(np.float64))
        if len(features) < 2:
            return Absent("NIQE is undefined where all blocks are flat")
        mean, covariance = self._photographs
        away = features.mean(0) - mean
        together = (covariance + np.cov(features, rowvar=False)) / 2  # equation 10
        return float(np.sqrt(away @ np.linalg.pinv(together) @ away))


def block_features(luma: Array) -> Array:
    """Of [H, W] in 0..255: [blocks, 36], without the blocks that are flat at one of the scales."""
    down, across = (side // BLOCK for side in luma.shape)
    luma = luma[: down * BLOCK, : across * BLOCK]
    scales = [_scale_features(one, down, across) for one in (luma, _halved(luma))]
    features = np.concatenate(scales, axis=1)
    return features[np.isfinite(features).all(1)]


def _halved(luma: Array) -> Array:
    """By cubic convolution over eight pixels a side, mirrored at the borders, as MATLAB's imresize does it: a library's
    in float32 moves the distance by up to .1 where areas are flat and blocks are few."""
    away = np.abs(np.arange(-3.5, 4) / 2)  # of a pixel of the half, in its own pixels
    near, far = 1.5 * away**3 - 2.5 * away**2 + 1, -0.5 * away**3 + 2.5 * away**2 - 4 * away + 2  # Keys 1981, a = -.5
    taps = np.where(away <= 1, near, far)
    for axis in (0, 1):
        # Between pixels 2n and 2n + 1; the even filter's place is to the right of its middle.
        luma = correlate1d(luma, taps / taps.sum(), axis=axis, mode="reflect", origin=-1)
        luma = luma.take(range(0, luma.shape[axis], 2), axis=axis)
    return luma


def _scale_features(luma: Array, down: int, across: int) -> Array:
    """[blocks, 18]: how the normalized pixels are spread, and the products of neighbors in four directions."""
    side = luma.shape[0] // down
    blocks = _normalized(luma).reshape(down, side, across, side).swapaxes(1, 2).reshape(-1, side, side)
    shape, left, right, _ = _asymmetric_generalized_gaussian(blocks)
    features = [shape, (left + right) / 2]
    for neighbor in NEIGHBORS:
        shape, left, right, mean = _asymmetric_generalized_gaussian(blocks * np.roll(blocks, neighbor, axis=(1, 2)))
        features += [shape, mean, left, right]
    return np.stack(features, axis=1)


def _normalized(luma: Array) -> Array:
    """Less its local mean, over its local deviation (equation 1)."""
    taps = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    taps /= taps.sum()

    def blur(values: Array) -> Array:
        return correlate1d(correlate1d(values, taps, axis=0, mode="nearest"), taps, axis=1, mode="nearest")

    mean = blur(luma)
    return (luma - mean) / (np.sqrt(np.abs(blur(luma**2) - mean**2)) + 1)


def _asymmetric_generalized_gaussian(blocks: Array) -> tuple[Array, Array, Array, Array]:
    """Of [blocks, s, s], each [blocks]: shape, scales to the left and right of 0, mean (equations 4 to 8); not finite
    for a block without values on both sides of 0."""
    values = blocks.reshape(len(blocks), -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (np.sqrt(np.where(side, values**2, 0).sum(1) / side.sum(1)) for side in (values < 0, values > 0))
        ratio = left / right
        observed = np.abs(values).mean(1) ** 2 / (values**2).mean(1)
        observed *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
        shape = _nearest_shape(observed)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    left, right = left * scale, right * scale
    return shape, left, right, (right - left) * gamma(2 / shape) / gamma(1 / shape)


def _nearest_shape(observed: Array) -> Array:
    """Of ratios of moments, as the authors search for it: between two shapes of the list would be as true, and moves
    the distance by up to .1 where blocks are few."""
    above = np.searchsorted(MOMENT_RATIOS, observed).clip(1, len(SHAPES) - 1)
    nearer_below = observed - MOMENT_RATIOS[above - 1] < MOMENT_RATIOS[above] - observed
    return np.where(np.isnan(observed), np.nan, SHAPES[above - nearer_below])


def _read(path: Path) -> tuple[Array, Array]:
    """Mean [36] and covariance [36, 36] of photographs' features."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(one.file_size for one in archive.infolist()) > LARGEST_FILE:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as file:
            mean, covariance = (np.array(file[key], np.float64) for key in ("mu_pris_param", "cov_pris_param"))
    except (*DAMAGED_FILE, zipfile.BadZipFile) as error:
        raise WeightsFileError(f"{path} does not hold the parameters of NIQE: {error}") from error
    if mean.size != NUM_FEATURES or covariance.shape != (NUM_FEATURES, NUM_FEATURES):
        raise WeightsFileError(f"{path} holds parameters of {mean.shape} and {covariance.shape}, not of 36 features")
    return mean.ravel(), covariance
