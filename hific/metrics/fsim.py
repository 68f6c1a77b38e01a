"""FSIMc (Zhang et al. 2011): phase congruency and gradient similarity with color, by piq."""

from __future__ import annotations

import math

import numpy as np
import piq
import torch

from hific.metrics.absent import Absent
from hific.metrics.image_metric import as_tensor, check_pair


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
