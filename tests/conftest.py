"""What several tests share: where optional images and weights are, and one thread per test process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Several test processes run beside each other; more threads than cores only slow them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")

REPOSITORY = Path(__file__).resolve().parents[1]


def _optional_folder(variable: str, beside: str, needed: str) -> Path:
    """The folder that the environment names, or one beside the checkout; skips where there is neither."""
    candidates = [Path(os.environ[variable])] if os.environ.get(variable) else []
    candidates.append(REPOSITORY.parent / "shared" / beside)
    for folder in candidates:
        if (folder / needed).exists():
            return folder
    pytest.skip(f"{needed} is not at hand: set {variable} to a folder that has it")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder with the pretrained trunks, or a skip."""
    return _optional_folder("HIFIC_WEIGHTS", "weights", "alexnet_features_torchvision.pth")


@pytest.fixture(scope="session")
def kodak_root() -> Path:
    """The folder with kodim01.png .. kodim24.png, or a skip."""
    return _optional_folder("HIFIC_KODAK", "data/kodak", "kodim01.png")
