"""last.ckpt: every so many batches, at the end, after Ctrl-C, and at a module's milestones; best.ckpt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from hific.errors import FileRefusedError, OptionError
from hific.io.write_whole import write_whole_by
from hific.training.adversarial_module import AdversarialModule
from hific.training.fitting import FittedCoding


class WholeCheckpointIO(TorchCheckpointIO):
    """Every checkpoint of a training on a local disk is written beside its place, to disk, and renamed: complete at
    every moment, also where the disk runs full. (Lightning's own writes into the system's temporary folder, and from
    another disk a move is a copy that can end half-way.)"""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        try:
            write_whole_by(Path(path), lambda file: torch.save(checkpoint, file))
        except (OSError, RuntimeError) as error:
            # torch tells of a full disk by a RuntimeError of its writer.
            kept = "; the one before is kept" if Path(path).is_file() else ""
            raise FileRefusedError(f"{path}: could not be written ({error}){kept}") from error


class LastCheckpoint(Callback):
    """Overwrites `dirpath`/last.ckpt."""

    def __init__(self, dirpath: str | Path, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise OptionError(f"callbacks.last.every_n_steps={every_n_steps} is 1 or more")
        self.folder = Path(dirpath)
        self.every_n_steps = every_n_steps
        self._saved_coding: FittedCoding | None = None

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

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Nor where a run that was killed while its coding was fitted is taken up again.
        if isinstance(pl_module, AdversarialModule) and pl_module.fitted is not self._saved_coding:
            self._save(trainer, "last.ckpt")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # What is fitted when training has ended may fail: the trained model must not be lost with it.
        if 0 < trainer.max_steps <= trainer.global_step:
            self._save(trainer, "last.ckpt")

    def _save(self, trainer: Trainer, name: str) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.folder / name, weights_only=False)
            self._saved_coding = getattr(trainer.lightning_module, "fitted", None)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, but for HiFiC's first stage, whose validations do not count where a second one follows: it aims at
    nothing but what is measured, and would win by construction."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, AdversarialModule) and pl_module.is_comparable:
            super().on_validation_end(trainer, pl_module)
