"""Schedules are shares of the training; losses that go bad are named."""

from __future__ import annotations

import pytest
import torch

from hific.errors import NonFiniteError
from hific.training.optimization import CosineSchedule, HalvingSchedule, check_finite


def test_cosine_rises_then_falls() -> None:
    schedule = CosineSchedule(warmup=0.1, floor=0.01)
    values = [schedule(step / 100) for step in range(100)]
    peak = values.index(max(values))
    assert 8 <= peak <= 11 and values[0] < 0.01 and 0.009 < values[-1] < 0.02
    assert values[peak:] == sorted(values[peak:], reverse=True)


def test_halving_halves_at_equal_distances() -> None:
    schedule = HalvingSchedule(times=4)
    assert [schedule(step / 10) for step in range(10)] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625]
    assert schedule(1.0) == 0.0625  # the batch after the last one does not halve again


def test_halving_no_time_is_constant() -> None:
    assert [HalvingSchedule(times=0)(step / 10) for step in range(11)] == [1.0] * 11


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_bad_term_and_the_step_are_named(bad: float) -> None:
    with pytest.raises(NonFiniteError, match=r"step 17: perceptual = (nan|inf)\."):
        check_finite({"mse": torch.tensor(1.0), "perceptual": torch.tensor(bad)}, 17)
    check_finite({"mse": torch.tensor(1.0)}, 17)
