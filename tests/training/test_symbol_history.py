"""What checkpoints on the way are coded with: the latest latents, and every switch that was counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from hific.training.compressnet_module import SymbolHistory, count_switches


def test_only_the_latest_latents_are_kept() -> None:
    history = SymbolHistory(capacity=3)
    for first in (0, 2):
        history.append(torch.stack([torch.full((1, 2, 2), first + index) for index in range(2)]))
    assert [int(latent[0, 0, 0]) for latent in history.latents] == [1, 2, 3]
    assert history.latents[0].dtype == np.int8 and history.latents[0].shape == (1, 2, 2)


def test_switches_are_counted_by_channel_and_add_up() -> None:
    switches = torch.tensor([[[[0, 1], [3, 3]], [[2, 2], [2, 0]]]])
    counts = count_switches(switches)
    assert counts.tolist() == [[1, 1, 0, 2], [1, 0, 3, 0]]
    history = SymbolHistory()
    for _ in range(2):
        history.add_switch_counts([counts])
    assert history.switch_counts is not None and history.switch_counts[0].tolist() == [[2, 2, 0, 4], [2, 0, 6, 0]]
    other = SymbolHistory()
    other.load_state_dict(history.state_dict())
    assert other.switch_counts is not None and np.array_equal(other.switch_counts[0], history.switch_counts[0])


def test_the_first_batch_is_counted(
    composed: Callable[..., DictConfig], train: Callable[[DictConfig], Any], tmp_path: Path
) -> None:
    """So that a checkpoint after a single one has tables of switches."""
    train(composed("model=swwae", "recipe.steps=1"))
    history = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["symbol_history"]
    assert len(history["latents"]) == 2
    assert [int(count[0].sum()) for count in history["switch_counts"]] == [2 * side**2 for side in (16, 8, 4, 2)]
