"""Perceptual losses: published values, finite gradients everywhere, and weights that no checkpoint sees."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import alexnet

from hific.losses.perceptual import AlexNetPerceptualLoss, FrozenFeatureLoss, LPIPSLoss, unit_length
from hific.weights import load_lpips


@pytest.fixture(params=[AlexNetPerceptualLoss, LPIPSLoss])
def loss(request: pytest.FixtureRequest, random_weights_dir: Path) -> FrozenFeatureLoss:
    return request.param(weights_dir=random_weights_dir)


def random_images(seed: int, batch: int = 2, side: int = 64) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("net", "value"), [("squeeze", 0.1005), ("alex", 0.1469)])
def test_lpips_published_values(net: str, value: float, weights_dir: Path) -> None:
    torch.manual_seed(42)
    first, second = torch.rand(10, 3, 100, 100) * 2 - 1, torch.rand(10, 3, 100, 100) * 2 - 1
    assert LPIPSLoss(net, weights_dir)(first, second).item() == pytest.approx(value, abs=5e-5)  # type: ignore[arg-type]


def test_lpips_equals_the_package(random_weights_dir: Path) -> None:
    image, reconstruction = random_images(0), random_images(1)
    expected = load_lpips("alex", random_weights_dir)(reconstruction, image).mean()
    torch.testing.assert_close(
        LPIPSLoss("alex", random_weights_dir)(reconstruction, image), expected, atol=1e-5, rtol=0
    )


def test_conv4_equals_torchvision_with_its_own_normalization(random_weights_dir: Path) -> None:
    network = alexnet(weights=None).features
    state = torch.load(random_weights_dir / "alexnet_features.pth", weights_only=True)
    network.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def features(image: Tensor) -> Tensor:
        return network[:9](((image + 1) / 2 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))

    image, reconstruction = random_images(0), random_images(1)
    with torch.no_grad():
        expected = (features(image) - features(reconstruction)).square().mean()
    assert expected > 1
    torch.testing.assert_close(
        AlexNetPerceptualLoss(random_weights_dir)(reconstruction, image), expected, rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("case", ["identical", "zero", "flat", "black"])
def test_gradient_is_finite(loss: FrozenFeatureLoss, case: str) -> None:
    image = {"identical": random_images(0), "zero": torch.zeros(2, 3, 64, 64), "flat": torch.full((2, 3, 64, 64), 0.3)}
    target = image.get(case, random_images(1))
    start = -torch.ones(2, 3, 64, 64) if case == "black" else target
    reconstruction = start.clone().requires_grad_()
    value = loss(reconstruction, target)
    value.backward()
    assert reconstruction.grad is not None and reconstruction.grad.isfinite().all()
    assert (value == 0) == (case != "black")


def test_unit_length_has_a_finite_gradient_at_zero() -> None:
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    unit_length(features).square().sum().backward()
    assert features.grad is not None and features.grad.isfinite().all()
    assert torch.allclose(unit_length(torch.rand(1, 4, 2, 2) + 1).norm(dim=1), torch.ones(1, 2, 2))


def test_gradient_leads_to_the_image_and_only_the_reconstruction_has_one(loss: FrozenFeatureLoss) -> None:
    image = random_images(0).requires_grad_()
    reconstruction = (image.detach() + 0.3 * random_images(1)).requires_grad_()
    before = loss(reconstruction, image)
    before.backward()
    assert image.grad is None and reconstruction.grad is not None
    step = reconstruction.grad * (1e-3 / reconstruction.grad.abs().max())
    assert loss((reconstruction - step).detach(), image) < before < loss((reconstruction + step).detach(), image)


def test_is_a_mean_over_the_batch(loss: FrozenFeatureLoss) -> None:
    image, reconstruction = random_images(0), random_images(1)
    single = torch.stack([loss(reconstruction[i : i + 1], image[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(loss(reconstruction, image), single.mean())
    assert loss(reconstruction, image).ndim == 0


def test_weights_are_in_no_state_dict_and_no_parameter_list(loss: FrozenFeatureLoss) -> None:
    owner = nn.Module()
    owner.loss = loss
    owner.head = nn.Linear(1, 1)
    assert set(owner.state_dict()) == {"head.weight", "head.bias"}
    assert len(list(owner.parameters())) == 2 and not list(owner.buffers())
    owner.load_state_dict(owner.state_dict(), strict=True)


def test_weights_follow_the_device_and_stay_float32(loss: FrozenFeatureLoss) -> None:
    owner = nn.Sequential(copy.deepcopy(loss))
    image, reconstruction = random_images(0), random_images(1)
    expected = loss(reconstruction, image)
    assert torch.equal(owner.to(torch.bfloat16)[0](reconstruction, image), expected)
    owner.to("meta")
    assert all(tensor.is_meta for tensor in owner[0].network.state_dict().values())
    assert not any(tensor.is_meta for tensor in loss.network.state_dict().values())


def test_same_value_in_training_mode_under_autocast_and_in_channels_last(loss: FrozenFeatureLoss) -> None:
    image, reconstruction = random_images(0), random_images(1)
    expected = loss.eval()(reconstruction, image)
    assert torch.equal(loss.train()(reconstruction, image), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(reconstruction, image)
    assert value.dtype == torch.float32 and torch.equal(value, expected)
    layout = torch.channels_last
    assert torch.equal(loss(reconstruction.to(memory_format=layout), image.to(memory_format=layout)), expected)


def test_wrong_shapes_are_refused(loss: FrozenFeatureLoss) -> None:
    with pytest.raises(ValueError, match=r"\[B, 3, H, W\]"):
        loss(random_images(0), random_images(0, batch=1))
    with pytest.raises(ValueError, match=r"\[B, 3, H, W\]"):
        loss(torch.zeros(2, 1, 64, 64), torch.zeros(2, 1, 64, 64))
