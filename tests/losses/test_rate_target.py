"""The rate controller: heavy above the target, light below, and a warm-up that is lenient, not strict."""

from __future__ import annotations

import math

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


@pytest.mark.parametrize("integral", [0.0, 0.01])
def test_it_holds_a_rate(integral: float) -> None:
    """A toy whose rate falls while its weight is high and rises while it is low stays at the target."""
    control, rate, rates = RateTarget(0.3, 1.0, integral=integral), 1.0, []
    for _ in range(2000):
        weight = float(control.weight(torch.tensor(rate), 0.5))
        rate *= 1 + 0.01 * (0.3 - weight)
        rates.append(rate)
    assert sum(rates[1000:]) / 1000 == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("needed", [0.2, 0.5, 3.0])
def test_the_controller_finds_the_weight_that_the_target_takes(needed: float) -> None:
    """A toy whose rate follows the weight with a delay; the two weights of the paper swing about the target."""
    rates = {}
    for integral in (0.0, 0.01):
        control, rate = RateTarget(0.3, 8.0, averaged_over=50, integral=integral), 1.0
        weights, rates[integral] = [], []
        for _ in range(3000):
            weights.append(float(control.weight(torch.tensor(rate), 0.5)))
            rate += 0.02 * (0.3 * (needed / weights[-1]) ** 0.7 - rate)
            rates[integral].append(rate)
        if integral:
            assert weights[-1] == pytest.approx(needed, rel=0.02)
    swings = [max(values[1500:]) - min(values[1500:]) for values in rates.values()]
    assert swings[1] < 0.01 and swings[0] > 0.04


@given(st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=20), st.floats(0.001, 1.0))
def test_its_weight_stays_between_the_two(rates: list[float], integral: float) -> None:
    control = RateTarget(0.3, 1.0, integral=integral)
    for rate in rates:
        assert 2**-4 * (1 - 1e-6) <= control.weight(torch.tensor(rate), 0.5) <= 1.0 + 1e-6


def test_it_goes_on_from_its_state() -> None:
    options = {"target_bpp": 0.3, "lambda_a": 1.0, "averaged_over": 5, "integral": 0.1}
    unbroken, first, second = (RateTarget(**options) for _ in range(3))  # type: ignore[arg-type]
    rates = torch.rand(10, generator=torch.Generator().manual_seed(0)) + 0.1
    expected = [unbroken.weight(rate, 0.5) for rate in rates]
    got = [first.weight(rate, 0.5) for rate in rates[:4]]
    second.load_state_dict(first.state_dict())
    assert [*got, *(second.weight(rate, 0.5) for rate in rates[4:])] == expected


@pytest.mark.parametrize(
    ("averaged_over", "integral", "within"), [(1, 0.0, (0.15, 0.25)), (50, 0.0, (0.0, 0.05)), (50, 0.01, (0.0, 0.05))]
)
def test_rates_that_vary_from_batch_to_batch_are_held_by_their_average_only(
    averaged_over: int, integral: float, within: tuple[float, float]
) -> None:
    """The toy above whose batches are of different photos, most of them cheap."""
    control = RateTarget(0.3, 1.0, averaged_over=averaged_over, integral=integral)
    photos = torch.randn(8000, generator=torch.Generator().manual_seed(0)).mul(0.5).exp()
    level, rates = 0.3, []
    for photo in photos / photos.mean():
        rates.append(level * float(photo))
        level *= 1 + 0.01 * (0.3 - float(control.weight(torch.tensor(rates[-1]), 0.5)))
    assert within[0] <= abs(sum(rates[2000:]) / 6000 / 0.3 - 1) <= within[1]


def test_it_knows_what_a_bit_was_worth_of_late_and_keeps_that() -> None:
    """Between the paper's two weights, by how often each was in force."""
    control = RateTarget(0.3, 1.0)
    for batch in range(2000):
        control.weight(torch.tensor(0.2 if batch % 4 else 0.4), 0.5)
    assert control.average_weight is not None
    assert float(control.average_weight) == pytest.approx((1.0 + 3 * 2**-4) / 4, rel=0.05)
    again = RateTarget(0.3, 1.0)
    again.load_state_dict(control.state_dict())
    assert again.average_weight == control.average_weight


def test_the_average_and_the_controller_by_hand() -> None:
    """average += (rate - average) / n; log-weight += integral * log(average / target), from the middle on; and as much
    as the average is off once more."""
    control = RateTarget(0.25, 4.0, 0.25, warmup=0.0, averaged_over=4, integral=0.5)
    middle, average = 0.0, 0.5  # of log 4 and log 1/4
    for rate in (0.5, 0.3, 0.2):
        average += (rate - average) / 4
        distance = math.log(average / 0.25)
        middle += 0.5 * distance
        expected = min(max(math.exp(middle + distance), 0.25), 4.0)
        assert control.weight(torch.tensor(rate), 0.5).item() == pytest.approx(expected, rel=1e-5)
