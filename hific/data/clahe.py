"""Contrast limited adaptive histogram equalization, the paper's preprocessing (section 4); owns OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CLIP_LIMIT = 2.0  # parameters of the authors' released code; the paper names none
TILES = (8, 8)

# Data workers are processes already, and a fork of a process whose OpenCV threads have run can hang.
cv2.setNumThreads(0)


def equalize_lightness(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Equalizes L of 8-bit Lab over 8x8 tiles of the whole image.

    `image` and the result are uint8 [H, W, 3], sRGB. Where a model is trained so, the result is the reference that
    reconstructions are compared with, not the photo.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=CLIP_LIMIT, tileGridSize=TILES).apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)
