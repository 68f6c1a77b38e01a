"""Training crops from one flat file of photos, each at a few random scales: half a millisecond a crop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments.campaign.development import split

LARGEST_CROP = 256
SCALES_A_PHOTO = 3
# Whole photos of cameras are smoother, a pixel, than photos of the web made smaller than their 500 pixels. Models that
# saw scales of .5 to 1 were .1 dB behind AVIF at .8 of a development photo's scale, .4 dB at its own and .6 dB enlarged
# by 1.5 (at weight 1.4, eight photos).
SHORTEST_LONG_SIDE, LONGEST_LONG_SIDE = 320, 800
MOST_ENLARGED = 1.5


def training_size(photo: Image.Image, draw: float, smallest: int) -> tuple[int, int]:
    """Width and height that a photo is trained at. draw: of [0, 1); smallest: no side is shorter."""
    sides = LONGEST_LONG_SIDE / SHORTEST_LONG_SIDE
    scale = min(SHORTEST_LONG_SIDE * sides**draw / max(photo.size), MOST_ENLARGED)
    scale = max(scale, smallest / min(photo.size))
    return round(photo.width * scale), round(photo.height * scale)


def write_scaled_photos(roots: Sequence[str | Path], folder: Path, seed: int = 1) -> None:
    """photos.bin: 8-bit pixels; index.npy: offset, height and width of each."""
    folder.mkdir(parents=True, exist_ok=True)
    draw, index, offset = random.Random(seed), [], 0
    with open(folder / "photos.bin", "wb") as file:
        for path in split(roots).files("train"):
            photo = Image.open(path).convert("RGB")
            if min(photo.size) <= LARGEST_CROP:
                continue
            for _ in range(SCALES_A_PHOTO):
                size = training_size(photo, draw.random(), LARGEST_CROP + 1)
                pixels = np.asarray(photo.resize(size, Image.Resampling.LANCZOS))
                file.write(pixels.tobytes())
                index.append((offset, *pixels.shape[:2]))
                offset += pixels.size
    np.save(folder / "index.npy", np.array(index, np.int64))


class Crops:
    """Random crops of random photos, mirrored half of the time; all a function of the seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._index = np.load(folder / "index.npy")
        self._pixels = np.memmap(folder / "photos.bin", np.uint8, "r")
        self._random = np.random.default_rng(seed)

    def batch(self, count: int, side: int) -> Tensor:
        """[count, 3, side, side] in [0, 1], channels_last."""
        crops = torch.from_numpy(np.stack([self._crop(side) for _ in range(count)]))
        return crops.permute(0, 3, 1, 2).float().div_(255)

    def _crop(self, side: int) -> np.ndarray:
        offset, height, width = self._index[self._random.integers(len(self._index))]
        top, left = self._random.integers(height - side + 1), self._random.integers(width - side + 1)
        photo = self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)
        crop = photo[top : top + side, left : left + side]
        return crop[:, ::-1] if self._random.random() < 0.5 else crop
