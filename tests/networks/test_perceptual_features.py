"""The student of AlexNet that the encoder's search goes by: shapes; it tells worse from better as AlexNet does."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from hific import zoo
from hific.codecs.latent_refinement import Perception
from hific.errors import WeightsNotFoundError
from hific.losses.perceptual import AlexNetPerceptualLoss, FrozenFeatureLoss, LPIPSLoss
from hific.networks.perceptual_features import SMALLEST_SIDE, PerceptualFeatures, distances

PHOTOS = ("astronaut", "coffee", "rocket", "chelsea")
QUALITIES = (5, 10, 20, 40, 80)


@pytest.fixture(scope="module")
def features() -> PerceptualFeatures:
    network = PerceptualFeatures()
    network.load_state_dict(zoo.read_perceptual_features())
    return network.requires_grad_(False).eval()


def image_of(name: str) -> Tensor:
    """[1, 3, 256, 256] in [0, 1]."""
    pixels = getattr(data, name)()[:256, 60:316]
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def as_jpeg(image: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    pixels = (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(buffer))
    return torch.from_numpy(decoded.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("side", [SMALLEST_SIDE, 64, 131])
def test_channels_of_each_scale(features: PerceptualFeatures, side: int) -> None:
    found = features(torch.rand(2, 3, side, side + 5))
    assert [one.shape[1] for one in found] == [64, 192, 384, 256]
    assert all(min(one.shape[-2:]) > 0 for one in found)


def test_nothing_is_lost_of_an_equal_image(features: PerceptualFeatures) -> None:
    found = features(image_of("coffee"))
    assert [float(one) for one in distances(found, found)] == [0, 0]


@pytest.mark.parametrize("name", PHOTOS)
def test_a_coarser_file_is_farther(features: PerceptualFeatures, name: str) -> None:
    image = image_of(name)
    target = features(image)
    found = [distances(features(as_jpeg(image, quality)), target) for quality in QUALITIES]
    for kind in zip(*found, strict=True):
        assert sorted(kind, reverse=True) == list(kind) and kind[0] > 3 * kind[-1]


@pytest.mark.parametrize("kind", [0, 1])
def test_it_orders_photos_and_qualities_as_its_teacher(features: PerceptualFeatures, kind: int) -> None:
    """On photos that neither was shown in distillation."""
    teacher: FrozenFeatureLoss
    try:
        teacher = LPIPSLoss("alex") if kind == 0 else AlexNetPerceptualLoss()
    except WeightsNotFoundError as error:
        pytest.skip(str(error))
    pairs = []
    for image in map(image_of, PHOTOS):
        for decoded in (as_jpeg(image, quality) for quality in QUALITIES):
            own = float(distances(features(decoded), features(image))[kind])
            pairs.append((own, float(teacher(2 * decoded - 1, 2 * image - 1))))
    assert np.corrcoef(np.log(pairs).T)[0, 1] > 0.9


def test_its_gradient_reaches_the_reconstruction() -> None:
    image = image_of("rocket")
    reconstruction = as_jpeg(image, 10).requires_grad_(True)
    Perception.of(image, 1.4)(reconstruction).backward()
    assert reconstruction.grad is not None and torch.isfinite(reconstruction.grad).all()
    assert float(reconstruction.grad.abs().max()) > 0
