"""MS-SSIM (Wang et al. 2003) with its five scales, the mean over the three RGB channels."""

from __future__ import annotations

import numpy as np
import piq
import torch

from hific.metrics.absent import Absent, smaller_than
from hific.metrics.image_metric import as_tensor, check_pair

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
