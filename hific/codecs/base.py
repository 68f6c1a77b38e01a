"""What every codec of the suite can do, learned or classical. Imports no torch, so that classical codecs start fast."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from PIL import Image

# A PIL image of any mode, or uint8 [H, W, 3] sRGB.
ImageLike = Image.Image | np.ndarray[Any, Any]


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
