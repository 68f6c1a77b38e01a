"""last.ckpt: every so many batches, at the end, after Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer


class LastCheckpoint(Callback):
    """Overwrites `dirpath`/last.ckpt; the file is complete at every moment (Lightning writes beside and renames)."""

    def __init__(self, dirpath: str | Path, every_n_steps: int = 500) -> None:
        self.path = Path(dirpath) / "last.ckpt"
        self.every_n_steps = every_n_steps
        self._saved_at = -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.should_stop or trainer.global_step % self.every_n_steps == 0:
            self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run or trainer.global_step in (0, self._saved_at):
            return
        self._saved_at = trainer.global_step
        trainer.save_checkpoint(self.path, weights_only=False)
