"""Weights of another run: what fits is taken, and a beginning that is hardly one is told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from hific.training.beginnings import load_matching_weights


@pytest.mark.parametrize(("taken", "told"), [(1, True), (3, False), (4, False)])
def test_a_very_different_model_is_told(
    taken: int, told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs, ours = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(2))
    names = list(theirs.state_dict())[:taken]
    torch.save({"state_dict": {name: theirs.state_dict()[name] for name in names}}, tmp_path / "a.ckpt")
    with caplog.at_level(logging.INFO, logger="hific"):
        load_matching_weights(ours, tmp_path / "a.ckpt")
    equal = [torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items()]
    assert equal == [True] * taken + [False] * (4 - taken)
    assert ("very different model" in caplog.text) == told
    assert f"took {taken} of 4 weights" in caplog.text
