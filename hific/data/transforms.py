"""Crops: a random one at a random scale to train on, the center to validate on; CLAHE, the paper's preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class RandomCrop:
    """A square of `crop` pixels from the image downscaled by a random factor; half of them mirrored if `flip`.

    Downscaling (antialiased bicubic) by a factor drawn from [min_scale, max_scale] keeps a model from learning the 8x8
    blocks of JPEG-coded photos. The factor is never so small that the shorter side would fall below the crop; where
    even `max_scale` would do that, it is the one that makes them equal. Only the window that becomes the crop is
    resampled, with the margin that the filter reaches into, so the cost does not grow with the photo.
    """

    crop: int
    min_scale: float = 1.0
    max_scale: float = 1.0
    flip: bool = True

    def __post_init__(self) -> None:
        if self.crop < 1:
            raise ValueError(f"crop {self.crop} is not positive")
        if not 0 < self.min_scale <= self.max_scale <= 1:
            raise ValueError(f"scales must be 0 < min_scale <= max_scale <= 1, not {self.min_scale}, {self.max_scale}")

    def __call__(self, image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
        """uint8 [H, W, 3], both sides at least `crop` -> uint8 [crop, crop, 3]; all chance is the generator's."""
        height, width = image.shape[:2]
        shorter = min(height, width)
        if shorter < self.crop:
            raise ValueError(f"a crop of {self.crop} does not fit into {width}x{height}")
        low = max(self.min_scale, self.crop / shorter)
        scale = generator.uniform(low, max(low, self.max_scale))
        top, left, mirror = generator.random(3)
        if scale >= 1:
            window = _cut(image, int(top * (height - self.crop + 1)), int(left * (width - self.crop + 1)), self.crop)
        else:
            side = min(self.crop / scale, shorter)
            window = _shrink(image, top * (height - side), left * (width - side), side, self.crop)
        return window[:, ::-1] if self.flip and mirror < 0.5 else window


def center_crop(image: NDArray[np.uint8], most: int | None) -> NDArray[np.uint8]:
    """The middle of the image, each side at most `most` pixels; all of it where `most` is None."""
    if most is None:
        return image
    height, width = image.shape[:2]
    top, left = max(0, (height - most) // 2), max(0, (width - most) // 2)
    return image[top : top + most, left : left + most]


def downscale(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The whole image at `scale` in (0, 1], antialiased bicubic, at least one pixel a side."""
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _cut(image: NDArray[np.uint8], top: int, left: int, side: int) -> NDArray[np.uint8]:
    return image[top : top + side, left : left + side]


def _shrink(image: NDArray[np.uint8], top: float, left: float, side: float, size: int) -> NDArray[np.uint8]:
    margin = ceil(2 * side / size)  # the bicubic kernel reaches two pixels of the smaller image
    first_row, first_column = max(0, floor(top) - margin), max(0, floor(left) - margin)
    around = image[first_row : ceil(top + side) + margin, first_column : ceil(left + side) + margin]
    box = (left - first_column, top - first_row, left - first_column + side, top - first_row + side)
    # Float rounding must not carry the box past the last pixel, which Pillow refuses.
    limits = (around.shape[1], around.shape[0])
    box = (box[0], box[1], min(box[2], limits[0]), min(box[3], limits[1]))
    return np.asarray(Image.fromarray(around).resize((size, size), Image.Resampling.BICUBIC, box=box))


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
