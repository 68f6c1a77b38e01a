"""HiFiC's discriminator: its count of parameters, what it looks at, and that real and fake share their own latents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hific.networks.discriminators import ConditionalPatchDiscriminator
from hific.training.adversary import Adversary


def test_the_papers_has_2_800_797_parameters() -> None:
    network = ConditionalPatchDiscriminator([64, 128, 256, 512], 220)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_800_797


def test_every_convolution_is_under_spectral_norm() -> None:
    torch.manual_seed(0)
    network = ConditionalPatchDiscriminator([8, 8, 8], 4)
    image, latent = torch.rand(2, 3, 32, 32), torch.randn(2, 4, 2, 2)
    for _ in range(30):  # a power iteration each
        network(image, latent)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convs) == 5
    for conv in convs:
        norm = torch.linalg.matrix_norm(conv.weight.detach().flatten(1), ord=2)
        assert float(norm) == pytest.approx(1, abs=0.05)


def test_a_latent_belongs_to_its_own_image() -> None:
    torch.manual_seed(0)
    network = ConditionalPatchDiscriminator([8, 8], 4).eval()
    image, latent = torch.rand(3, 3, 32, 32), torch.randn(3, 4, 2, 2)
    changed = latent.clone()
    changed[1] += 1
    before, after = network(image, latent)[0][0], network(image, changed)[0][0]
    assert torch.equal(before[[0, 2]], after[[0, 2]]) and not torch.allclose(before[1], after[1])


class Recorder(nn.Module):
    """A discriminator that notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor | None]] = []
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor, latent_hat: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        self.seen.append((image, latent_hat))
        condition = 0 if latent_hat is None else latent_hat.mean()
        return [self.weight * image.mean(1) + condition], []


def test_real_and_fake_are_judged_beside_the_same_latents() -> None:
    recorder, image, fake, latent = (
        Recorder(),
        torch.rand(2, 3, 32, 32),
        torch.rand(2, 3, 32, 32),
        torch.randn(2, 4, 2, 2),
    )
    Adversary(recorder, torch.optim.Adam).discriminator_terms(image, fake, latent)
    (first, condition1), (second, condition2) = recorder.seen
    assert torch.equal(first, image) and torch.equal(second, fake)
    assert torch.equal(condition1, latent) and torch.equal(condition2, latent)


def test_the_latent_learns_nothing_from_d_directly() -> None:
    adversary, image = Adversary(Recorder(), torch.optim.Adam), torch.rand(2, 3, 32, 32)
    reconstruction = torch.rand(2, 3, 32, 32, requires_grad=True)
    latent = torch.randn(2, 4, 2, 2, requires_grad=True)
    sum(adversary.generator_terms(image, reconstruction, latent).values()).backward()
    assert latent.grad is None and reconstruction.grad is not None
    assert adversary.discriminator.weight.grad is None
    loss, _ = adversary.discriminator_terms(image, reconstruction, latent)
    reconstruction.grad = None
    loss.backward()
    assert latent.grad is None and reconstruction.grad is None and adversary.discriminator.weight.grad is not None


@pytest.mark.parametrize("normalization", ["spectral", "instance"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("scales", [1, 2])
def test_ablations_judge(normalization: str, activation: str, conditional: bool, scales: int) -> None:
    network = ConditionalPatchDiscriminator([4, 4, 4], 4, conditional, normalization, activation, scales)  # type: ignore[arg-type]
    logits, features = network(torch.rand(2, 3, 64, 64), torch.randn(2, 4, 4, 4) if conditional else None)
    assert len(logits) == len(features) == scales
    assert all(one.shape[:2] == (2, 1) for one in logits)
    if conditional:
        with pytest.raises(ValueError, match="latent of every image"):
            network(torch.rand(2, 3, 64, 64), torch.randn(1, 4, 4, 4))


def test_power_iterations_stay_in_float32_under_autocast() -> None:
    network = ConditionalPatchDiscriminator([8, 8, 8], 4).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = network(torch.rand(2, 3, 32, 32), torch.randn(2, 4, 2, 2))
    logits[0].float().sum().backward()
    buffers = {name: value.dtype for name, value in network.named_buffers()}
    assert buffers and set(buffers.values()) == {torch.float32}
