from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import piq
import pytest
import torch
from torchvision.models import vgg16

from hific.errors import WeightsFileError
from hific.metrics.image_metric import Absent
from hific.metrics.perceptual import DISTS

pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture(scope="module")
def random_weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dists")
    with torch.device("meta"):
        shapes = vgg16(weights=None).features.state_dict()
    generator = torch.Generator().manual_seed(0)
    state = {f"features.{key}": torch.randn(value.shape, generator=generator) * 0.05 for key, value in shapes.items()}
    torch.save(state, folder / "vgg16_features.pth")
    total = torch.rand(2, 1475, generator=generator)
    alpha, beta = (row.view(1, -1, 1, 1) / total.sum() for row in total)
    torch.save({"alpha": alpha, "beta": beta}, folder / "dists_weights.pt")
    return folder


@pytest.fixture
def piq_dists(random_weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> piq.DISTS:
    """piq's own constructor, its two downloads replaced by the files."""

    def network(**options: object) -> SimpleNamespace:
        features = vgg16(weights=None).features
        state = torch.load(random_weights_dir / "vgg16_features.pth")
        features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
        return SimpleNamespace(features=features)

    monkeypatch.setattr("piq.perceptual.vgg16", network)
    monkeypatch.setattr(
        "torch.hub.load_state_dict_from_url", lambda *a, **k: torch.load(random_weights_dir / "dists_weights.pt")
    )
    return piq.DISTS()


def test_equals_piq(random_weights_dir: Path, piq_dists: piq.DISTS, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    image, reconstruction = (
        torch.from_numpy(array.copy()).permute(2, 0, 1)[None] / 255 for array in (photo, coded_photo)
    )
    expected = float(piq_dists(reconstruction, image))
    metric = DISTS(random_weights_dir)
    assert expected > 1e-3
    assert metric(photo, coded_photo) == pytest.approx(expected, abs=1e-6)
    assert metric(photo, photo) == pytest.approx(0, abs=1e-5)
    assert isinstance(metric(photo[:16, :16], coded_photo[:16, :16]), float)
    assert isinstance(metric(photo[:15], coded_photo[:15]), Absent)


def test_absent_without_weights(tmp_path: Path, photo: np.ndarray) -> None:
    assert isinstance(DISTS(tmp_path)(photo, photo), Absent)


def test_foreign_file_is_named(tmp_path: Path) -> None:
    torch.save({"gamma": torch.zeros(1)}, tmp_path / "dists.pth")
    with pytest.raises(WeightsFileError, match=r"dists\.pth"):
        DISTS(tmp_path)
