"""NIQE beside a second source: BasicSR 1.4.2's function, with the same parameters, run once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from hific.errors import WeightsFileError
from hific.metrics.image_metric import Absent
from hific.metrics.niqe import BLOCK, NIQE, SMALLEST, block_features

pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not those of photographs, which are not ours to bring: ones that leave the distance well conditioned."""
    folder = tmp_path_factory.mktemp("niqe")
    np.savez(folder / "niqe_pris_params.npz", mu_pris_param=np.linspace(0, 1, 36)[None], cov_pris_param=np.eye(36))
    return folder


def test_equals_basicsr(parameters: Path, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    metric = NIQE(parameters)
    cat, person = skimage.data.chelsea(), skimage.data.astronaut()
    assert metric(cat, cat) == pytest.approx(5.2114263, abs=1e-3)
    assert metric(person, person) == pytest.approx(5.1391063, abs=1e-3)
    assert metric(photo, photo) == pytest.approx(5.7390536, abs=1e-3)
    assert metric(photo, coded_photo) == pytest.approx(4.6814213, abs=1e-3)


def test_the_original_is_not_asked(parameters: Path, photo: np.ndarray, coded_photo: np.ndarray) -> None:
    metric = NIQE(parameters)
    assert metric(photo, coded_photo) == metric(coded_photo, coded_photo) != metric(photo, photo)


def test_what_is_no_photograph_is_further_away(photo: np.ndarray, tmp_path: Path) -> None:
    features = block_features(photo.mean(2))
    # Of the photo itself; nine blocks alone would make some directions infinitely far.
    covariance = np.cov(features, rowvar=False) + 0.01 * np.eye(36)
    np.savez(tmp_path / "niqe.npz", mu_pris_param=features.mean(0), cov_pris_param=covariance)
    metric = NIQE(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)
    own, noisy = metric(photo, photo), metric(photo, noise)
    assert isinstance(own, float) and isinstance(noisy, float) and own < 1 < noisy


def test_features_are_of_whole_blocks_and_of_contrast_alone(photo: np.ndarray) -> None:
    luma = photo[..., 1].astype(np.float64)
    features = block_features(luma)
    assert features.shape == ((300 // BLOCK) * (340 // BLOCK), 36)
    assert np.array_equal(block_features(luma[: 3 * BLOCK, : 3 * BLOCK]), features), "what is beyond does not count"
    assert np.allclose(block_features(luma + 30), features, atol=2e-3), "nor does the level"


def test_flat_blocks_are_left_out_and_flat_images_absent(parameters: Path, photo: np.ndarray) -> None:
    metric = NIQE(parameters)
    partly = photo.copy()
    partly[:110, :110] = 80
    assert len(block_features(partly[..., 1].astype(np.float64))) == 8
    assert isinstance(metric(photo, partly), float)
    assert "flat" in str(metric(photo, np.full_like(photo, 7)))
    assert isinstance(metric(photo[:SMALLEST, :SMALLEST], photo[:SMALLEST, :SMALLEST]), float)
    assert isinstance(metric(photo[: SMALLEST - 1], photo[: SMALLEST - 1]), Absent)


def test_parameters_that_are_missing_or_of_something_else(tmp_path: Path, photo: np.ndarray) -> None:
    assert "no NIQE weights" in str(NIQE(tmp_path)(photo, photo))
    path = tmp_path / "niqe_pris_params.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(WeightsFileError, match=r"niqe_pris_params\.npz does not hold the parameters of NIQE"):
        NIQE(tmp_path)
    np.savez(path, mu_pris_param=np.array([{}], object), cov_pris_param=np.eye(36))
    with pytest.raises(WeightsFileError, match="does not hold"):
        NIQE(tmp_path)  # pickled objects are never loaded
    np.savez(path, mu_pris_param=np.zeros(18), cov_pris_param=np.eye(18))
    with pytest.raises(WeightsFileError, match="not of 36 features"):
        NIQE(tmp_path)
    np.savez_compressed(path, mu_pris_param=np.zeros(36), cov_pris_param=np.zeros((36, 36)), more=np.zeros(2**18))
    with pytest.raises(WeightsFileError, match="too large"):
        NIQE(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(WeightsFileError, match="does not hold"):
        NIQE(tmp_path)
