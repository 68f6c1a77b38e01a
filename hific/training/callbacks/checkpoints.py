"""last.ckpt: every so many batches, at the end, after Ctrl-C, and at a module's milestones; best.ckpt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from hific.errors import OptionError
from hific.training.adversarial_module import AdversarialModule


class LastCheckpoint(Callback):
    """Overwrites `dirpath`/last.ckpt; the file is complete at every moment (Lightning writes beside and renames)."""

    def __init__(self, dirpath: str | Path, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise OptionError(f"callbacks.last.every_n_steps={every_n_steps} is 1 or more")
        self.folder = Path(dirpath)
        self.every_n_steps = every_n_steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(pl_module, AdversarialModule) and trainer.global_step in pl_module.milestones:
            self._save(trainer, pl_module.milestones[trainer.global_step])
        if trainer.should_stop or trainer.global_step % self.every_n_steps == 0:
            self._save(trainer, "last.ckpt")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Without a batch to train on, Lightning tells of no training's end.
        if trainer.max_steps == 0:
            self._save(trainer, "last.ckpt")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Also where the last batch has just been saved: the coding was fitted since.
        if trainer.global_step > 0:
            self._save(trainer, "last.ckpt")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # What is fitted when training has ended may fail: the trained model must not be lost with it.
        if 0 < trainer.max_steps <= trainer.global_step:
            self._save(trainer, "last.ckpt")

    def _save(self, trainer: Trainer, name: str) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.folder / name, weights_only=False)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, but for HiFiC's first stage, whose validations do not count where a second one follows: it aims at
    nothing but what is measured, and would win by construction."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, AdversarialModule) and pl_module.is_comparable:
            super().on_validation_end(trainer, pl_module)
