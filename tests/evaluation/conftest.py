"""Rows without measuring, and images without files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hific.evaluation.measurement import Measurement

MakeRow = Callable[..., Measurement]


def new_row(system: str = "jpeg", image: str = "kodim01", num_bytes: int = 1000, **changes: Any) -> Measurement:
    """A row of a 100x80 image."""
    fields: dict[str, Any] = {
        "codec": system.split(",")[0],
        "setting": "quality 3",
        "width": 100,
        "height": 80,
        "num_pixels": 8000,
        "metrics": {"psnr": 25.0},
    }
    return Measurement(system, image=image, num_bytes=num_bytes, **{**fields, **changes})


@pytest.fixture
def make_row() -> MakeRow:
    return new_row


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """A gradient with some texture, uint8 [60, 90, 3]."""
    y, x = np.mgrid[:60, :90]
    texture = 20 * np.sin(x / 3) * np.cos(y / 4)
    return np.clip(np.stack((x * 2 + texture, y * 3 + texture, 200 - x - y + texture), axis=-1), 0, 255).astype(
        np.uint8
    )
