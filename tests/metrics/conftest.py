"""Images that metrics are checked on."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photo from scikit-image's own files: uint8 [300, 340, 3], below 384 pixels so that FSIM does not halve it."""
    return np.ascontiguousarray(skimage.data.astronaut()[:300, 100:440])


@pytest.fixture(scope="session")
def coded_photo(photo: np.ndarray) -> np.ndarray:
    """The photo after JPEG at quality 15."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=15)
    return np.asarray(Image.open(buffer))


@pytest.fixture
def no_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pretrained file anywhere that the library looks."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
    monkeypatch.delenv("HIFIC_WEIGHTS", raising=False)
