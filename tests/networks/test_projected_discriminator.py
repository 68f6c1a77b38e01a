"""The discriminator over AlexNet's features: what it registers, what it looks at, and that it learns at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hific.errors import OptionError, WeightsNotFoundError
from hific.losses.perceptual import AlexNetFeatures
from hific.networks.discriminators import ProjectedDiscriminator
from hific.training.adversary import Adversary


@pytest.fixture
def network() -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(AlexNetFeatures(pretrained=False), latent_channels=4, width=8)


@pytest.fixture
def seen() -> tuple[Tensor, Tensor]:
    """Images, and their latents."""
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.rand(3, 3, 64, 48, generator=generator) - 1, torch.randn(3, 4, 4, 3, generator=generator)


def test_every_feature_map_has_logits_of_its_size(network: ProjectedDiscriminator, seen: tuple[Tensor, Tensor]) -> None:
    logits, features = network(*seen)
    assert [one.shape[1] for one in features] == list(AlexNetFeatures.channels)
    assert [one.shape for one in logits] == [(3, 1, *one.shape[2:]) for one in features]
    assert [one.shape[-1] for one in features] == [11, 5, 2, 2, 2]  # of 48: AlexNet's convolutions and pools


def test_features_are_of_one_strength_everywhere(seen: tuple[Tensor, Tensor]) -> None:
    features = AlexNetFeatures(pretrained=False)
    weak, strong = features(0.1 * seen[0]), features(seen[0])
    for one in (*weak, *strong):
        torch.testing.assert_close(one.square().mean(1), torch.ones_like(one[:, 0]), atol=1e-3, rtol=0)


def test_alexnet_is_none_of_its_weights(network: ProjectedDiscriminator, seen: tuple[Tensor, Tensor]) -> None:
    assert not any(name.startswith("features") for name in network.state_dict())
    network.requires_grad_(True).train()
    image = seen[0].requires_grad_(True)
    torch.stack([one.sum() for one in network(image, seen[1])[0]]).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert all(weight.grad is not None for weight in network.parameters())
    assert all(weight.grad is None for weight in network.features.network.parameters())


def test_a_latent_belongs_to_its_own_image(network: ProjectedDiscriminator, seen: tuple[Tensor, Tensor]) -> None:
    image, latent = seen
    changed = latent.clone()
    changed[1] += 1
    network.eval()
    for before, after in zip(network(image, latent)[0], network(image, changed)[0], strict=True):
        assert torch.equal(before[[0, 2]], after[[0, 2]]) and not torch.allclose(before[1], after[1])
    with pytest.raises(ValueError, match="needs the latent of every image"):
        network(image, latent[:2])


def test_without_the_condition_no_latent_is_looked_at(seen: tuple[Tensor, Tensor]) -> None:
    network = ProjectedDiscriminator(AlexNetFeatures(pretrained=False), 4, 8, conditional=False).eval()
    image, latent = seen
    for with_latent, without in zip(network(image, latent)[0], network(image)[0], strict=True):
        assert torch.equal(with_latent, without)


def test_it_soon_tells_blurred_images_from_sharp_ones(network: ProjectedDiscriminator) -> None:
    """Those that it has not seen, by random features already."""
    adversary = Adversary(network, partial(torch.optim.Adam, lr=1e-2))
    optimizer, generator = adversary.make_optimizer(), torch.Generator().manual_seed(2)
    latent = torch.zeros(2, 4, 4, 4)
    for number in range(30):
        sharp = 2 * torch.rand(2, 3, 64, 64, generator=generator) - 1
        logs = adversary.step(
            sharp, blurred(sharp), latent, optimizer=optimizer, backward=torch.autograd.backward, batch_number=number
        )
    assert logs["discriminator/real"] > logs["discriminator/fake"] + 1
    new = 2 * torch.rand(2, 3, 64, 64, generator=generator) - 1
    with torch.no_grad():
        before, after = (
            float(adversary.generator_terms(new, one, latent)["adversarial"]) for one in (blurred(new), new)
        )
    assert after < before


def blurred(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 3, stride=1, padding=1)


def test_random_features_are_the_same_every_time_and_leave_the_generator_alone(seen: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, other = (AlexNetFeatures(pretrained=False)(seen[0]) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="width=0 must be 1 or more"):
        ProjectedDiscriminator(AlexNetFeatures(pretrained=False), 4, 0)
    with pytest.raises(WeightsNotFoundError, match="alexnet"):
        AlexNetFeatures(tmp_path)
