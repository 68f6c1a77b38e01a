"""Rows without measuring, and images without files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from browser import open_chromium

from hific.evaluation.equal_bytes import NEXT_SIZE
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


@pytest.fixture
def rows(make_row: MakeRow) -> list[Measurement]:
    """A learned system, and two codecs at both sizes around its bytes: it wins over jpeg in LPIPS and loses PSNR."""
    found = []
    for number, image in enumerate("abc"):
        shift = 0.01 * number
        found.append(
            make_row("sae, tables", image, 1000, fingerprint="ab", metrics={"psnr": 25 + shift, "lpips_alex": 0.3})
        )
        for codec in ("jpeg", "webp"):
            known = {"codec": codec, "max_bytes": 1000}
            below, above = {"psnr": 26.0, "lpips_alex": 0.5}, {"psnr": 27.0, "lpips_alex": 0.4}
            found.append(make_row(codec, image, 900, metrics=below, **known))
            found.append(make_row(f"{codec}{NEXT_SIZE}", image, 1100, metrics=above, **known))
    return sorted(found, key=lambda row: row.system != "sae, tables")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from open_chromium(tmp_path_factory.mktemp("profile"))
