"""The rate controller: heavy above the target, light below, and a warm-up that is lenient, not strict."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hific.losses.rate_target import RateTarget

RATES = {"low": (0.14, 2.0), "medium": (0.30, 1.0), "high": (0.45, 0.5)}


@pytest.mark.parametrize(("target", "lambda_a"), RATES.values(), ids=RATES)
def test_the_weight_goes_by_the_side_of_the_target(target: float, lambda_a: float) -> None:
    control = RateTarget(target, lambda_a)
    assert control.weight(torch.tensor(target + 0.01), 0.5) == lambda_a
    assert control.weight(torch.tensor(target - 0.01), 0.5) == 2**-4


def test_warm_up_raises_the_target_and_halves_the_weight() -> None:
    """One public re-implementation doubles it."""
    control = RateTarget(0.14, 2.0)
    assert control.target(0.0) == pytest.approx(0.14 * 1.43) and control.target(0.05) == 0.14
    assert control.weight(torch.tensor(0.5), 0.049) == 1.0
    assert control.weight(torch.tensor(0.15), 0.049) == 2**-5
    assert control.weight(torch.tensor(0.15), 0.05) == 2.0


@given(st.floats(0.0, 10.0), st.floats(0.05, 1.0))
def test_without_a_target_the_weight_is_constant(rate: float, progress: float) -> None:
    assert RateTarget(0.14, 2.0, enabled=False).weight(torch.tensor(rate), progress) == 2.0


def test_no_gradient_flows_through_the_decision() -> None:
    rate = torch.tensor(0.5, requires_grad=True)
    assert not RateTarget(0.14, 2.0).weight(rate, 0.5).requires_grad


@pytest.mark.parametrize("wrong", [(0.14, 0.01), (0.0, 2.0), (-1.0, 2.0)])
def test_senseless_values_are_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="lambda_b <= lambda_a"):
        RateTarget(*wrong)


def test_it_holds_a_rate() -> None:
    """A toy whose rate falls while its weight is high and rises while it is low stays at the target."""
    control, rate, rates = RateTarget(0.3, 1.0), 1.0, []
    for _ in range(2000):
        weight = float(control.weight(torch.tensor(rate), 0.5))
        rate *= 1 + 0.01 * (0.3 - weight)
        rates.append(rate)
    assert sum(rates[1000:]) / 1000 == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("averaged_over", "within"), [(1, (0.15, 0.25)), (50, (0.0, 0.05))])
def test_rates_that_vary_from_batch_to_batch_are_held_by_their_average_only(
    averaged_over: int, within: tuple[float, float]
) -> None:
    """The toy above whose batches are of different photos, most of them cheap."""
    control = RateTarget(0.3, 1.0, averaged_over=averaged_over)
    photos = torch.randn(8000, generator=torch.Generator().manual_seed(0)).mul(0.5).exp()
    level, rates = 0.3, []
    for photo in photos / photos.mean():
        rates.append(level * float(photo))
        level *= 1 + 0.01 * (0.3 - float(control.weight(torch.tensor(rates[-1]), 0.5)))
    assert within[0] <= abs(sum(rates[2000:]) / 6000 / 0.3 - 1) <= within[1]
