"""Laws of the layer, switch and adversarial losses."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from hific.losses.auxiliary import (
    latent_spread_loss,
    layerwise_loss,
    local_color_loss,
    phase_pattern_loss,
    switch_accuracy,
    switch_prediction_loss,
)
from hific.ops.quantize import soft_quantize
from hific.training.adversary import discriminator_loss, feature_matching_loss, generator_loss


def test_layerwise_gradient_stops_at_the_analysis_only_if_asked() -> None:
    for detach in (True, False):
        decoded, encoded = torch.randn(1, 2, 3, 3, requires_grad=True), torch.randn(1, 2, 3, 3, requires_grad=True)
        loss = layerwise_loss([decoded], [encoded], detach_analysis=detach)
        loss.backward()
        assert decoded.grad is not None and (encoded.grad is None) == detach
        torch.testing.assert_close(loss, F.mse_loss(decoded, encoded))


def test_a_latent_out_of_reach_is_pulled_back_and_one_within_is_left_alone() -> None:
    latent = torch.tensor([-9.0, -2.0, -0.3, 0.0, 1.9, 2.0, 7.0]).view(1, 1, 1, 7).requires_grad_()
    soft_quantize(latent, 5, 1.0).sum().backward()
    assert latent.grad[..., [0, -1]].abs().max() < 1e-3  # why it is needed
    latent.grad = None
    latent_spread_loss(latent).backward()
    gradient = latent.grad.flatten()
    assert gradient[0] < 0 < gradient[-1] and (gradient[1:-1] == 0).all()


def test_latents_are_drawn_to_their_levels_and_no_further() -> None:
    """The squared distance to [-2, 2], and what a channel's deviation, of all its values, lacks to 1, squared."""
    far = torch.tensor([-2.0, 5.0]).view(1, 1, 1, 2)
    assert latent_spread_loss(far).item() == pytest.approx(3.0**2 / 2)
    narrow = torch.tensor([-0.5, 0.5]).view(1, 1, 1, 2)
    assert latent_spread_loss(narrow).item() == pytest.approx(0.5**2, rel=1e-4)


def test_a_latent_that_is_nearly_constant_is_spread() -> None:
    latent = (0.7 + 1e-3 * torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    latent_spread_loss(latent).backward()
    moved = latent - 1000 * latent.grad
    assert (moved.var(dim=(0, 2, 3)) > 10 * latent.var(dim=(0, 2, 3))).all()
    constant = torch.full((1, 2, 2, 2), 0.3, requires_grad=True)
    latent_spread_loss(constant).backward()
    assert torch.isfinite(constant.grad).all()


def test_a_pattern_of_the_grid_is_seen_alike_over_any_image_and_a_tint_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(8, 3, 67, 80, generator=generator)
    pattern = torch.randn(3, 4, 4, generator=generator)
    pattern -= pattern.mean((1, 2), keepdim=True)
    drawn = image + pattern.repeat(1, 17, 20)[:, :67] + torch.rand(3, 1, 1, generator=generator)
    torch.testing.assert_close(phase_pattern_loss(drawn, image, 4), pattern.square().mean())
    assert phase_pattern_loss(image + 0.3, image, 4) < 1e-12


def test_what_differs_from_place_to_place_is_no_pattern() -> None:
    image, noise = torch.zeros(8, 3, 128, 128), torch.randn(8, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    num_cells = 8 * 8 * 8
    assert phase_pattern_loss(image + noise, image, 16) < 1.2 / num_cells
    once = torch.zeros(8, 3, 128, 128)
    once[0, :, :16, :16] = noise[0, :, :16, :16]
    assert phase_pattern_loss(once, image, 16) < 1.2 / num_cells**2


def test_layerwise_sums_scales_and_refuses_unequal_lists() -> None:
    a, b = [torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1)], [torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)]
    assert layerwise_loss(a, b).item() == 2
    with pytest.raises(ValueError):
        layerwise_loss(a, b[:1])


@pytest.mark.parametrize("head", ["logits", "paper"])
def test_ties_change_neither_loss_nor_gradient(head: str) -> None:
    torch.manual_seed(0)
    prediction = torch.rand((1, 4, 2, 3, 3) if head == "logits" else (1, 2, 3, 3), requires_grad=True)
    switches = torch.randint(0, 4, (1, 2, 3, 3))
    tied = torch.rand(1, 2, 3, 3) < 0.5
    loss = switch_prediction_loss(prediction, switches, tied)
    (gradient,) = torch.autograd.grad(loss, prediction)
    changed = torch.where(tied, (switches + 1) % 4, switches)
    assert switch_prediction_loss(prediction, changed, tied) == loss
    masked = gradient.movedim(1, -1)[tied] if head == "logits" else gradient[tied]
    assert masked.abs().max() == 0 and gradient.abs().max() > 0


def test_paper_head_regresses_to_the_midpoints() -> None:
    switches = torch.arange(4).view(1, 1, 2, 2)
    midpoints = torch.tensor([0.125, 0.375, 0.625, 0.875]).view(1, 1, 2, 2)
    assert switch_prediction_loss(midpoints, switches, torch.zeros(1, 1, 2, 2, dtype=torch.bool)) == 0


def test_all_tied_gives_zero_and_no_nan() -> None:
    prediction = torch.randn(1, 4, 1, 2, 2, requires_grad=True)
    tied = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    loss = switch_prediction_loss(prediction, torch.zeros(1, 1, 2, 2, dtype=torch.int64), tied)
    loss.backward()
    assert loss == 0 and prediction.grad.abs().max() == 0
    assert switch_accuracy(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), tied) == 0


def test_accuracy_is_of_the_windows_that_have_a_switch() -> None:
    predicted, switches = torch.tensor([[[[0, 1], [2, 3]]]]), torch.tensor([[[[0, 2], [3, 3]]]])
    tied = torch.tensor([[[[False, False], [True, True]]]])
    assert switch_accuracy(predicted, switches, tied).item() == 0.5
    assert switch_accuracy(predicted, switches, ~tied).item() == 0.5
    assert switch_accuracy(predicted, switches, torch.tensor([[[[False, True], [True, True]]]])).item() == 1.0


def test_vanilla_losses_are_equation_3() -> None:
    real, fake = torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    expected = -(torch.sigmoid(real).log().mean() + (1 - torch.sigmoid(fake)).log().mean())
    torch.testing.assert_close(discriminator_loss([real], [fake], "vanilla"), expected)
    torch.testing.assert_close(generator_loss([fake], "saturating"), (1 - torch.sigmoid(fake)).log().mean())
    torch.testing.assert_close(generator_loss([fake], "vanilla"), -torch.sigmoid(fake).log().mean())


def test_lsgan_is_of_squares_over_scales_of_equal_weight() -> None:
    real, fake = ([torch.full((1, 1, side, side), value) for side in (2, 1)] for value in (0.75, 0.5))
    assert discriminator_loss(real, fake, "lsgan").item() == 0.25**2 + 0.5**2
    assert generator_loss(fake, "lsgan").item() == 0.5**2
    few_and_many = [torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 9, 9)]
    assert generator_loss(few_and_many, "lsgan").item() == 0.5, "a map counts as one, whatever its size"


@pytest.mark.parametrize("kind", ["vanilla", "saturating", "lsgan"])
def test_the_players_pull_in_opposite_directions(kind: str) -> None:
    fake = torch.zeros(1, 1, 2, 2, requires_grad=True)
    (for_generator,) = torch.autograd.grad(generator_loss([fake], kind), fake)  # type: ignore[arg-type]
    fake = torch.full((1, 1, 2, 2), 0.5, requires_grad=True)
    (for_discriminator,) = torch.autograd.grad(discriminator_loss([fake.detach()], [fake], kind), fake)  # type: ignore[arg-type]
    assert for_generator.max() < 0 < for_discriminator.min()


def test_losses_stay_finite_for_sure_discriminators() -> None:
    sure = torch.full((1, 1, 2, 2), 1e4)
    assert math.isfinite(discriminator_loss([-sure], [sure], "vanilla"))
    assert math.isfinite(generator_loss([-sure], "vanilla"))


def test_feature_matching_is_a_mean_distance() -> None:
    real = [torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 1, 1)]
    fake = [torch.full((1, 2, 2, 2), -3.0), torch.full((1, 1, 1, 1), 0.5)]
    assert feature_matching_loss(real, fake).item() == (3.0 + 0.5) / 2


def test_feature_matching_teaches_the_generator_only() -> None:
    real, fake = torch.randn(1, 2, 2, 2, requires_grad=True), torch.randn(1, 2, 2, 2, requires_grad=True)
    feature_matching_loss([real], [fake]).backward()
    assert real.grad is None and fake.grad is not None


def test_local_color_sees_casts_and_not_what_averages_out() -> None:
    image = torch.rand(2, 3, 32, 48)
    cast = torch.tensor([0.01, -0.02, 0.03]).view(1, 3, 1, 1)
    torch.testing.assert_close(local_color_loss(image + cast, image, 16), cast.square().mean())
    checkerboard = 0.1 * (1 - 2 * ((torch.arange(32)[:, None] + torch.arange(48)) % 2))
    assert local_color_loss(image + checkerboard, image, 16) < 1e-12
