"""Schedules are shares of the training; losses that go bad are named."""

from __future__ import annotations

import math

import pytest
import torch

from hific.errors import NonFiniteError
from hific.training.optimization import (
    CosineSchedule,
    HalvingSchedule,
    Optimization,
    Stages,
    StepSchedule,
    check_finite,
)


def test_cosine_rises_then_falls() -> None:
    schedule = CosineSchedule(warmup=0.1, floor=0.01)
    values = [schedule(step / 100) for step in range(100)]
    peak = values.index(max(values))
    assert 8 <= peak <= 11 and values[0] < 0.01 and 0.009 < values[-1] < 0.02
    assert values[peak:] == sorted(values[peak:], reverse=True)


def test_cosine_is_half_a_cosine_down_to_its_floor() -> None:
    schedule = CosineSchedule(warmup=0.25, floor=0.1)
    assert schedule(0.5) == pytest.approx(0.1 + 0.9 / 2) and schedule(1.0) == pytest.approx(0.1)
    assert schedule(0.25) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert schedule(0.125) == pytest.approx(0.5 * CosineSchedule(warmup=0, floor=0.1)(0.125), rel=1e-2)
    assert schedule(0.0) > 0, "the first batch learns something"
    assert CosineSchedule(warmup=0, floor=0.1)(0.0) == 1.0


def test_a_step_falls_at_its_place() -> None:
    schedule = StepSchedule(at=0.5, factor=0.1)
    assert [schedule(progress) for progress in (0.0, 0.49, 0.5, 0.99)] == [1.0, 1.0, 0.1, 0.1]


def test_learning_rates_are_the_schedules_share_of_what_they_were_made_with() -> None:
    one, other = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimization = Optimization(lambda groups: torch.optim.SGD(groups, lr=0.5), HalvingSchedule(times=1))
    optimizer = optimization.make([{"params": [one]}, {"params": [other], "lr_factor": 3.0}])
    for progress, factor in ((0.0, 1.0), (0.6, 0.5), (0.7, 0.5)):
        optimization.set_learning_rates([optimizer], progress)
        assert [group["lr"] for group in optimizer.param_groups] == [0.5 * factor, 1.5 * factor]


def test_stages_follow_each_other() -> None:
    both, first, second = Stages(2, 4), Stages(2, 0), Stages(0, 4)
    assert [both.number(step) for step in range(6)] == [1, 1, 2, 2, 2, 2]
    assert [both.progress(step) for step in range(7)] == [0, 0.5, 0, 0.25, 0.5, 0.75, 1]
    # The weights at the boundary are still stage 1's.
    assert [both.learned_in_last(step) for step in range(4)] == [False, False, False, True]
    assert first.learned_in_last(1) and second.learned_in_last(1) and (both.total, second.number(0)) == (6, 2)


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
