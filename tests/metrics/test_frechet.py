from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn
from torch_fidelity import calculate_metrics
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from hific.errors import WeightsFileError
from hific.metrics import frechet
from hific.metrics.frechet import InceptionDistances, frechet_distance, kernel_distance
from hific.metrics.image_metric import Absent

pytestmark = pytest.mark.usefixtures("no_weights")


def gaussian(seed: int, mean: float = 0, deviation: float = 1, shape: tuple[int, int] = (1200, 8)) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * deviation + mean


def standardized(seed: int) -> Tensor:
    """Samples [1200, 8] with mean 0 and covariance 1 exactly."""
    samples = gaussian(seed)
    samples = samples - samples.mean(0)
    return samples @ torch.linalg.inv(torch.linalg.cholesky(samples.T.cov())).T


def test_frechet_distance_of_gaussians_by_formula() -> None:
    # independent channels: sum of (difference of means)^2 + (difference of deviations)^2
    deviations, means = torch.linspace(0.5, 4, 8, dtype=torch.float64), torch.arange(8, dtype=torch.float64)
    first, second = standardized(0), standardized(1) * deviations + means
    expected = float((means**2).sum() + ((1 - deviations) ** 2).sum())
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_against_torchmetrics() -> None:
    first, second = gaussian(0), gaussian(1) @ gaussian(2, shape=(8, 8)) + 1
    moments = [moment for samples in (first, second) for moment in (samples.mean(0), samples.T.cov())]
    assert frechet_distance(first, second) == pytest.approx(float(_compute_fid(*moments)), rel=1e-6)


def test_kernel_distance_against_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "KID_SUBSET_SIZE", 1200)  # one subset of all: no sampling to agree on
    monkeypatch.setattr(frechet, "KID_SUBSETS", 1)
    first, second = gaussian(0), gaussian(1, mean=0.5)
    assert kernel_distance(first, second) == pytest.approx(float(poly_mmd(first, second)), rel=1e-6)


def test_identical_sets_have_no_distance() -> None:
    features = gaussian(0)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert abs(kernel_distance(features, features)) < 0.02 < kernel_distance(features, features + 1)


class ColorFeatures(nn.Module):
    """Stands for Inception: uint8 [n, 3, H, W] to the mean color, ([n, 3],)."""

    def forward(self, patches: Tensor) -> tuple[Tensor]:
        assert patches.dtype == torch.uint8 and patches.shape[1:] == (3, 256, 256)
        return (patches.double().mean((2, 3)) / 255,)


def test_patches_of_both_sets_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frechet, "_load_inception", lambda *arguments: ColorFeatures())
    metric = InceptionDistances(minimum_patches=1000)
    rng = np.random.default_rng(0)
    for _ in range(4):
        # 5 x 39 + 4 x 38 patches, each of another color
        image = np.kron(rng.integers(0, 200, (10, 78, 3), dtype=np.uint8), np.ones((128, 128, 1), np.uint8))
        metric.update(image, image + 30)
    values = metric.compute()
    assert values["fid_patches"] == 4 * (5 * 39 + 4 * 38)
    # a shift of every color by 30 moves the means by 30/255 and leaves their covariance
    assert values["fid"] == pytest.approx(3 * (30 / 255) ** 2, rel=1e-6)
    assert isinstance(values["kid"], float) and values["kid"] > 0


def test_too_few_patches_are_no_distance(monkeypatch: pytest.MonkeyPatch, photo: np.ndarray) -> None:
    monkeypatch.setattr(frechet, "_load_inception", lambda *arguments: ColorFeatures())
    metric = InceptionDistances()
    metric.update(photo, photo)
    metric.update(photo[:100], photo[:100])
    absent = Absent("1 patches are fewer than 2048")
    assert metric.compute() == {"fid": absent, "kid": absent, "fid_patches": 1}
    with pytest.raises(ValueError, match="minimum_patches"):
        InceptionDistances(minimum_patches=10)


def test_absent_without_inception_weights_and_nothing_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, photo: np.ndarray
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a download was not asked for")

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", refuse)
    metric = InceptionDistances()
    metric.update(photo, photo)
    absent = Absent("no Inception weights")
    assert metric.compute() == {"fid": absent, "kid": absent, "fid_patches": 1}
    with pytest.raises(AssertionError, match="not asked for"):
        InceptionDistances(download=True)


def test_a_named_file_must_be_there_and_be_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"inception\.pth"):
        InceptionDistances(tmp_path / "inception.pth")
    (tmp_path / "inception.pth").write_bytes(b"something else")
    with pytest.raises(WeightsFileError, match=r"inception\.pth"):
        InceptionDistances(tmp_path / "inception.pth")


@pytest.fixture
def inception_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights as torch-fidelity reads them."""
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: None)
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], verbose=False)
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    return tmp_path / "inception.pth"


@pytest.mark.slow
def test_a_file_of_weights_gives_the_distances_of_torch_fidelity_itself(
    inception_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From pixels to numbers; the library reads the same patches as files, cut here by hand."""
    monkeypatch.setattr(frechet, "KID_SUBSET_SIZE", 4)
    monkeypatch.setattr(frechet, "KID_SUBSETS", 3)
    image = np.ascontiguousarray(skimage.data.astronaut()[:, :500])
    coded = np.asarray(Image.fromarray(image).resize((125, 128)).resize((500, 512)))
    pairs = [(image, coded), (np.ascontiguousarray(image[::-1]), np.ascontiguousarray(coded[::-1]))]
    metric = InceptionDistances(inception_file, minimum_patches=4)
    folders = [tmp_path / "images", tmp_path / "reconstructions"]
    for number, pair in enumerate(pairs):
        metric.update(*pair)
        for folder, pixels in zip(folders, pair, strict=True):
            folder.mkdir(exist_ok=True)
            for y, x in ((0, 0), (256, 0), (128, 128)):
                Image.fromarray(pixels[y : y + 256, x : x + 256]).save(folder / f"{number} {y % 256} {y} {x}.png")
    values = metric.compute()
    options = {"feature_extractor_weights_path": str(inception_file), "kid_subset_size": 4, "kid_subsets": 3}
    own = calculate_metrics(
        input1=str(folders[0]),
        input2=str(folders[1]),
        fid=True,
        kid=True,
        cuda=False,
        verbose=False,
        cache=False,
        save_cpu_ram=True,
        **options,
    )
    assert values["fid_patches"] == 6
    assert values["fid"] == pytest.approx(own["frechet_inception_distance"], rel=1e-3)
    assert values["kid"] == pytest.approx(own["kernel_inception_distance_mean"], rel=1e-3)
    assert own["frechet_inception_distance"] > 0
