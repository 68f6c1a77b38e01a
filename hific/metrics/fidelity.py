"""Distances of pixels and of local structure, without a network: MSE, PSNR, SSIM, MS-SSIM, FSIMc, color error."""

from __future__ import annotations

import math

import numpy as np
import piq
import torch
from skimage.color import deltaE_cie76, rgb2lab
from skimage.metrics import mean_squared_error

from hific.metrics.image_metric import Absent, as_tensor, check_pair, smaller_than


class MSE:
    """Mean squared error on the 0..255 scale."""

    name = "mse"
    higher_is_better = False

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        check_pair(image, reconstruction)
        return float(mean_squared_error(image, reconstruction))


class PSNR:
    """10 log10(255^2 / MSE) in dB; infinite where the images are identical."""

    name = "psnr"
    higher_is_better = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        error = MSE()(image, reconstruction)
        return 10 * math.log10(255**2 / error) if error > 0 else math.inf


WINDOW = 11


class SSIM:
    """Gaussian window of 11 pixels, sigma 1.5, only where it lies inside the image."""

    name = "ssim"
    higher_is_better = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if absent := smaller_than(image, WINDOW):
            return absent
        with torch.inference_mode():
            # piq would halve images of 384 pixels and more; codecs are compared without that
            value = piq.ssim(as_tensor(reconstruction), as_tensor(image), data_range=255, downsample=False)
        return float(value)


SMALLEST = (11 - 1) * 2**4 + 1
"""161: the window of 11 pixels still fits after four halvings."""


class MSSSIM:
    """Absent below 161 pixels on a side, where fewer scales would be another metric."""

    name = "ms_ssim"
    higher_is_better = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if absent := smaller_than(image, SMALLEST):
            return absent
        with torch.inference_mode():
            return float(piq.multi_scale_ssim(as_tensor(reconstruction), as_tensor(image), data_range=255))


class FSIMc:
    """Absent where phase congruency is undefined.

    The library gives NaN for images of one row or column, and weighs rounding noise where both images are flat.
    """

    name = "fsimc"
    higher_is_better = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        if _is_flat(image) and _is_flat(reconstruction):
            return Absent("FSIMc is undefined on flat images")
        with torch.inference_mode():
            value = float(piq.fsim(as_tensor(reconstruction), as_tensor(image), data_range=255, chromatic=True))
        height, width = image.shape[:2]
        return Absent(f"FSIMc is undefined on this {width}x{height} image") if math.isnan(value) else value


def _is_flat(image: np.ndarray) -> bool:
    return bool((image == image[0, 0]).all())


class ColorError:
    """Mean over pixels of the Euclidean distance in CIE Lab (delta E 1976, D65); about 2.3 is just noticeable."""

    name = "color_error"
    higher_is_better = False

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        check_pair(image, reconstruction)
        return float(np.mean(deltaE_cie76(_lab(image), _lab(reconstruction)), dtype=np.float64))


def _lab(image: np.ndarray) -> np.ndarray:
    # float32 halves the time and moves the mean by less than 1e-5
    return rgb2lab(image.astype(np.float32) / np.float32(255))
