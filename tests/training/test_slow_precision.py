"""A run that would take days says so first."""

from __future__ import annotations

import logging

import pytest
import torch
from lightning import Trainer

from hific.training.beginnings import emulates_bfloat16, warn_of_slow_precision


def quiet_trainer(precision: str) -> Trainer:
    return Trainer(
        accelerator="cpu",
        precision=precision,  # type: ignore[arg-type]
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.parametrize(
    ("capabilities", "emulates"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, False),
        ({"architecture": "aarch64"}, False),
        ({}, False),
    ],
)
def test_bfloat16_without_instructions_is_told(
    capabilities: dict[str, object], emulates: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert emulates_bfloat16() == emulates
    with caplog.at_level(logging.WARNING, logger="hific"):
        warn_of_slow_precision(quiet_trainer("32-true"))
        assert not caplog.records
        warn_of_slow_precision(quiet_trainer("bf16-mixed"))
    assert ("no bfloat16 instructions" in caplog.text) == emulates
