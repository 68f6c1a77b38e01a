"""MSE and PSNR over all samples of the RGB image, peak 255."""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import mean_squared_error

from hific.metrics.image_metric import check_pair


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
