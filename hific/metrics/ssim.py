"""SSIM (Wang et al. 2004) at full resolution, the mean over the three RGB channels."""

from __future__ import annotations

import numpy as np
import piq
import torch

from hific.metrics.absent import Absent, smaller_than
from hific.metrics.image_metric import as_tensor, check_pair

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
