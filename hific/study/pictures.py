"""Pictures of a study: which parts of photos, under which names, and what a catch trial shows."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO

import cv2
import numpy as np
from PIL import Image

from hific.evaluation.codecs_under_test import Pixels
from hific.study.manifest import Picture

# What a catch trial loses: width and height over so many, and back. Everyone sees it from this PSNR down, in dB.
DEGRADED_SCALE, SEEN_BY_ALL = 8, 30.0


class Pictures:
    """PNG files by ids, which follow from seed, role and pixels: in order, length and name all systems are alike."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.files: dict[str, bytes] = {}
        self.known: dict[str, Picture] = {}

    def put(self, role: str, pixels: Pixels) -> str:
        """The id. `role`: an original that is judged has another than the one beside it."""
        buffer = BytesIO()
        # Not deflated: the length of a file would tell smooth pictures from others.
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        data = buffer.getvalue()
        name = sha256(f"{self._seed}/{role}/".encode() + data).hexdigest()[:20]
        height, width = pixels.shape[:2]
        self.files[name] = data
        self.known[name] = Picture(sha256=sha256(data).hexdigest(), width=width, height=height)
        return name


def crop_boxes(shape: Sequence[int], size: int, count: int, key: str) -> list[tuple[int, int, int, int]]:
    """x, y, width, height of at most `count` crops without overlap: cells of a grid that lies somewhere in the photo,
    both drawn by the key. `shape`: rows, columns; `size`: pixels a side, where the photo has as many."""
    width, height = (min(size, side) for side in (shape[1], shape[0]))
    columns, rows = shape[1] // width, shape[0] // height
    rng = np.random.default_rng(int.from_bytes(sha256(key.encode()).digest()[:8], "big"))
    left, top = (int(rng.integers(room + 1)) for room in (shape[1] - columns * width, shape[0] - rows * height))
    cells = rng.choice(columns * rows, size=min(count, columns * rows), replace=False).tolist()
    return [(left + cell % columns * width, top + cell // columns * height, width, height) for cell in cells]


def degrade(pixels: Pixels) -> Pixels | None:
    """uint8 [H, W, 3] without what is finer than DEGRADED_SCALE pixels; None where not everyone would see that."""
    image = Image.fromarray(pixels)
    width, height = (max(1, side // DEGRADED_SCALE) for side in image.size)
    small = image.resize((width, height), Image.Resampling.BOX)
    poor = np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))
    return poor if cv2.PSNR(pixels, poor) <= SEEN_BY_ALL else None
