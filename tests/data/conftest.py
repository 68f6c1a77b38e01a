from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WritePhotos = Callable[..., list[Path]]


@pytest.fixture
def write_photos(tmp_path: Path) -> WritePhotos:
    """Writes noise photos, each other than the rest, at the given paths under tmp_path."""

    def write(*names: str, width: int = 40, height: int = 36) -> list[Path]:
        paths = [tmp_path / name for name in names]
        for number, path in enumerate(paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        return paths

    return write


@pytest.fixture
def link_photos(write_photos: WritePhotos, tmp_path: Path) -> WritePhotos:
    """Makes one photo appear under thousands of names without the time that writing them takes."""
    (photo,) = write_photos("one.png", width=8, height=8)

    def link(*names: str) -> list[Path]:
        paths = [tmp_path / name for name in names]
        for folder in {path.parent for path in paths}:
            folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            path.hardlink_to(photo)
        return paths

    return link
