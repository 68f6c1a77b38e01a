"""D's own step by hand, when it plays, and what must not flow through it."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hific.errors import NonFiniteError
from hific.networks.discriminators import ConditionalPatchDiscriminator, PatchDiscriminator
from hific.training.adversary import Adversary

SGD = partial(torch.optim.SGD, lr=0.1)


def images(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(2, 2, 3, 16, 16, generator=generator) * 2 - 1)  # type: ignore[return-value]


def test_each_step_goes_by_its_own_gradient() -> None:
    torch.manual_seed(0)
    adversary = Adversary(PatchDiscriminator([4]), SGD)
    by_hand = copy.deepcopy(adversary.discriminator)
    optimizer = adversary.make_optimizer()
    for seed in range(3):
        image, reconstruction = images(seed)
        logs = adversary.step(image, reconstruction, optimizer=optimizer, backward=Tensor.backward, batch_number=0)
        (real,), (fake,) = by_hand(image)[0], by_hand(reconstruction)[0]
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
        assert logs["discriminator"].item() == pytest.approx(loss.item(), rel=1e-5)
        for one, other in zip(adversary.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(one, other)


def test_a_bad_loss_never_reaches_ds_weights() -> None:
    adversary = Adversary(PatchDiscriminator([4]), SGD)
    before = copy.deepcopy(adversary.state_dict())
    image, reconstruction = images(0)
    image[0, 0, 0, 0] = float("nan")
    optimizer = adversary.make_optimizer()
    with pytest.raises(NonFiniteError, match="step 7: discriminator = nan"):
        adversary.step(image, reconstruction, optimizer=optimizer, backward=Tensor.backward, batch_number=7)
    assert all(torch.equal(value, before[name]) for name, value in adversary.state_dict().items())


def test_neither_step_teaches_the_latent_to_please_d() -> None:
    adversary = Adversary(ConditionalPatchDiscriminator([4, 8], latent_channels=2), SGD, feature_matching_weight=1.0)
    image, reconstruction = images(0)
    latent_hat, reconstruction = torch.randn(2, 2, 1, 1, requires_grad=True), reconstruction.requires_grad_()
    torch.stack(list(adversary.generator_terms(image, reconstruction, latent_hat).values())).sum().backward()
    assert latent_hat.grad is None and reconstruction.grad is not None and reconstruction.grad.abs().max() > 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in adversary.parameters())
    reconstruction.grad = None
    adversary.discriminator_terms(image, reconstruction, latent_hat)[0].backward()
    assert latent_hat.grad is None and reconstruction.grad is None


def test_it_plays_from_its_share_of_the_training_on() -> None:
    late = Adversary(PatchDiscriminator([4]), SGD, start=0.5)
    assert [late.active(progress) for progress in (0.0, 0.49, 0.5, 0.9)] == [False, False, True, True]
    none = Adversary(PatchDiscriminator([4]), SGD, weight=0.0)
    assert not none.enabled and not none.active(0.9)
    assert Adversary(PatchDiscriminator([4]), SGD, weight=0.0, feature_matching_weight=1.0).active(0.0)
