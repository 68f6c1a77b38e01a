"""The average of the synthesis's weights, by hand; what it forgets, and what it must not touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from training.watching import BATCHES, WATCHING

from hific.training.optimization import ExponentialAverage


def test_an_average_moves_by_one_less_decay_and_counters_are_copied() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    nn.init.constant_(network[0].weight, 10.0)
    average = ExponentialAverage(network, decay=0.75)
    nn.init.constant_(network[0].weight, 20.0)
    network[1].num_batches_tracked.fill_(7)
    average.update(network)
    assert average.average[0].weight.item() == 12.5 and average.average[1].num_batches_tracked.item() == 7
    average.update(network)
    assert average.average[0].weight.item() == 14.375
    average.restart(network)
    assert average.average[0].weight.item() == 20.0 == network[0].weight.item()
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_hific_averages_its_synthesis_and_starts_anew_at_stage_2(
    composed: Callable[..., DictConfig], train: Callable[[DictConfig], Any]
) -> None:
    stages = ["recipe.stage1_steps=2", "recipe.stage2_steps=3", "recipe.initialization=klt"]
    train(composed("model=hific", "model.ema_decay=0.75", *stages, *WATCHING))
    weights = [_flat(batch.model.synthesis) for batch in BATCHES]
    averages = [_flat(batch.average.average) for batch in BATCHES]
    due = [weights[0], 0.75 * weights[0] + 0.25 * weights[1]]
    due.append(0.75 * due[1] + 0.25 * weights[2])  # as stage 1 leaves it
    due.append(0.75 * weights[2] + 0.25 * weights[3])  # from stage 1's weights on
    due.append(0.75 * due[3] + 0.25 * weights[4])
    for average, expected in zip(averages, due, strict=True):
        torch.testing.assert_close(average, expected, rtol=1e-6, atol=1e-7)
    assert (weights[4] - averages[4]).abs().max() > 1e-5, "weights move enough to tell"


def _flat(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("decay", [-0.1, 0.0, 1.0])
def test_a_decay_lies_between_nothing_and_all(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        ExponentialAverage(nn.Linear(1, 1), decay)
