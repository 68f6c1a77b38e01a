"""Composing and running a tiny configuration in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from tiny_overrides import tiny

REPOSITORY = Path(__file__).resolve().parents[2]
QUIET = ["~callbacks.progress", "trainer.enable_progress_bar=false", "trainer.enable_model_summary=false", "test=false"]
SHORT = ["recipe.val_check_interval=3", "data.epoch_batches=4"]


@pytest.fixture
def composed(tmp_path: Path) -> Callable[..., DictConfig]:
    """`composed("model=sae", ...)`: a training configuration whose outputs go to a temporary folder."""

    def compose_tiny(*overrides: str, output: str = "run") -> DictConfig:
        is_hific = any(one.startswith("model=hific") for one in overrides)
        short = [*tiny(overrides), *SHORT, *([] if is_hific else ["recipe.steps=6"])]
        with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
            config = compose(
                "train", [*short, *QUIET, f"output_dir={tmp_path / output}", *overrides], return_hydra_config=True
            )
        HydraConfig.instance().set_config(config)
        return config

    return compose_tiny


@pytest.fixture
def train_file(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module train.py."""
    monkeypatch.syspath_prepend(str(REPOSITORY))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    import train as train_file

    return train_file


@pytest.fixture
def train(train_file: ModuleType) -> Callable[[DictConfig], Any]:
    """train.py's `train`."""
    return train_file.train
