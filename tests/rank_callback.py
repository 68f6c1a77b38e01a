"""A callback for test_train.py, imported by the processes that it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


def coding_state(module: LightningModule) -> list[torch.Tensor]:
    """What the module's coding is made of besides its weights."""
    if hasattr(module, "history"):
        return list(module.history.state_dict()["latents"])
    return [module.model.mean_synthesis.activation_range, module.model.scale_synthesis.activation_range]


class SaveRank(Callback):
    """Keeps what a rank ends with: weights, what coding is made of, and its last batch."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.batch = batch

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        state = {
            "weights": pl_module.state_dict(),
            "coding": coding_state(pl_module),
            "batch": self.batch,
        }
        torch.save(state, self.folder / f"rank{trainer.global_rank}.pt")
