"""Images without files, shared by the tests of whatever codes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def photo(width: int, height: int, seed: int = 0) -> Pixels:
    """Smooth shapes with some noise, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 24
    waves = np.stack([np.sin(x + k) * np.cos(y * (1 + k / 3)) for k in range(3)], axis=-1)
    return np.clip(128 + 90 * waves + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    """Of which every codec makes large files, uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save_noise(path: Path, size: tuple[int, int], seed: int = 0) -> Path:
    """`size`: width and height; folders are made. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(*size, seed)).save(path)
    return path
