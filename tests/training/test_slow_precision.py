"""A run that would take days says so first."""

from __future__ import annotations

import logging

import pytest
import torch
from lightning import Trainer

from hific.ops.precision import emulates_bfloat16, fast_precision
from hific.training.beginnings import warn_of_slow_precision


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


@pytest.mark.parametrize(
    ("capabilities", "bfloat16"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": True}, True),
        ({"architecture": "aarch64"}, False),
        ({}, False),
    ],
)
def test_fast_precision_is_bfloat16_where_it_is_multiplied(
    capabilities: dict[str, object], bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    with fast_precision(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
