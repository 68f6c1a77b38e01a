"""What every codec of the suite can do, learned or classical, and the pixels that it takes and gives.

Imports no torch, so that classical codecs start fast.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from PIL import Image

from hific.io.read_image import to_rgb8

# A PIL image of any mode, or uint8 [H, W, 3] sRGB.
ImageLike = Image.Image | np.ndarray[Any, Any]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Codec(Protocol):
    """Image to bytes to image. Everything that `decompress` needs besides the codec itself is in the bytes."""

    @property
    def name(self) -> str:
        """The system, as tables call it: `sae_spn`, `jpeg`."""
        ...

    @property
    def setting(self) -> str:
        """What else distinguishes it from its kin of the same name: a quality, a coding."""
        ...

    @property
    def extension(self) -> str:
        """Of its files, with the dot."""
        ...

    def compress(self, image: ImageLike) -> bytes:
        """The whole file."""
        ...

    def decompress(self, data: bytes) -> Image.Image:
        """8-bit RGB at the size that was compressed."""
        ...


def as_rgb8(image: ImageLike) -> Pixels:
    """A PIL image of any mode, or the array itself, as uint8 [H, W, 3]. Raises TypeError or ValueError for all else."""
    if isinstance(image, Image.Image):
        return to_rgb8(image).array
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"an image is a PIL image or a uint8 array [H, W, 3], not a {type(image).__name__}: open files with "
            "PIL.Image.open"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"an image is uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    return image
