"""Densities are densities: masses are positive and sum to one, gradients lead out of the floor."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hific.entropy.densities import (
    LIKELIHOOD_FLOOR,
    SMALLEST_SCALE,
    FactorizedPrior,
    estimated_bpp,
    gaussian_likelihoods,
)
from hific.ops.quantize import lower_bound


@pytest.mark.parametrize("scale", [0.11, 0.5, 3.0, 40.0])
def test_gaussian_masses_sum_to_one(scale: float) -> None:
    integers = torch.arange(-400.0, 401.0)
    assert gaussian_likelihoods(integers, torch.full_like(integers, scale)).sum() == pytest.approx(1, abs=1e-5)


@given(st.floats(-50, 50), st.floats(0.12, 50))
def test_gaussian_against_the_error_function(value: float, scale: float) -> None:
    def cumulative(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    ends = sorted(((abs(value) - 0.5) / scale, (abs(value) + 0.5) / scale))
    expected = max(LIKELIHOOD_FLOOR, cumulative(-ends[0]) - cumulative(-ends[1]))
    got = float(gaussian_likelihoods(torch.tensor([value]), torch.tensor([scale])))
    assert got == pytest.approx(expected, rel=2e-3, abs=2e-8)


def test_scales_are_bounded_below_and_can_come_back() -> None:
    scales = torch.tensor([0.01], requires_grad=True)
    (-gaussian_likelihoods(torch.tensor([2.0]), scales).log()).sum().backward()
    assert scales.grad is not None and scales.grad < 0  # a step against it raises the scale
    assert torch.equal(
        gaussian_likelihoods(torch.tensor([0.3]), torch.tensor([-1.0])),
        gaussian_likelihoods(torch.tensor([0.3]), torch.tensor([SMALLEST_SCALE])),
    )


def test_lower_bound_passes_only_gradients_that_raise() -> None:
    for sign, expected in ((1.0, 0.0), (-1.0, -1.0)):
        value = torch.tensor(0.5, requires_grad=True)
        (sign * lower_bound(value, 1.0)).backward()
        assert value.grad == expected
    value = torch.tensor(2.0, requires_grad=True)
    lower_bound(value, 1.0).backward()
    assert value.grad == 1.0


def test_prior_masses_sum_to_one_and_its_cumulative_rises() -> None:
    torch.manual_seed(0)
    prior = FactorizedPrior(5)
    for parameter in prior.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    integers = torch.arange(-2000.0, 2001.0).double().expand(5, -1)
    assert torch.allclose(prior.probabilities(integers).sum(1), torch.ones(5).double(), atol=1e-3)
    assert (prior.cumulative_logits(integers).diff(dim=1) > 0).all()


def test_prior_learns_a_distribution() -> None:
    torch.manual_seed(0)
    prior, optimizer_steps = FactorizedPrior(2), 400
    values = torch.randn(1, 2, 64, 64) * torch.tensor([0.7, 4.0]).view(1, 2, 1, 1) + 3
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.02)
    for _ in range(optimizer_steps):
        noisy = values + torch.rand_like(values) - 0.5
        loss = estimated_bpp((prior(noisy),), values.numel())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        bits = estimated_bpp((prior(values.round()),), values.numel())
    # Entropies of the rounded Gaussians: 1.60 and 4.05 bits.
    assert float(bits) == pytest.approx((1.60 + 4.05) / 2, rel=0.03)


def test_bits_are_counted_over_the_pixels() -> None:
    likelihoods = (torch.full((1, 2, 4, 4), 0.5), torch.full((1, 1, 2, 2), 0.25))
    assert estimated_bpp(likelihoods, 100) == pytest.approx((32 * 1 + 4 * 2) / 100)
