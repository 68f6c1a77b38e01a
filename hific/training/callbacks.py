"""Lightning callbacks of the training runs.

Checkpoints: last.ckpt (every so many batches, at the end, after Ctrl-C, and at a module's milestones), best.ckpt. Whole
photos: pictures of them, and what is fitted to them, an initialization before the first batch, the coding after the
last.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor

from hific.data.image_datamodule import ImageDataModule
from hific.errors import FileRefusedError, OptionError
from hific.fitting.coding import FittedCoding
from hific.io.file_systems import is_url
from hific.io.write_whole import write_whole_by
from hific.models.lapped_initialization import initialize_lapped, is_klt_initialized
from hific.ops.images import pad_to_multiple
from hific.training.adversarial_module import AdversarialModule
from hific.training.beginnings import BEFORE_LAST, LAST
from hific.training.coding_module import CodingModule
from hific.training.hific_module import HificModule
from hific.training.pruning import PrunedError

log = logging.getLogger(__name__)


@contextmanager
def wandb_run_of(trainer: Trainer) -> Iterator[None]:
    """Around all that a trainer does. A process has one run of W&B at a time: what is still open would take the next
    point of a sweep as its own. A run that raises is marked as failed, but for one that is pruned."""
    failed = True
    try:
        yield
        failed = False
    except PrunedError:
        failed = False
        raise
    finally:
        if any(isinstance(logger, WandbLogger) for logger in trainer.loggers):
            import wandb

            if wandb.run is not None:  # the first rank has one
                wandb.finish(exit_code=int(failed))


class WholeCheckpointIO(TorchCheckpointIO):
    """Every checkpoint of a training on a local disk is written beside its place, to disk, and renamed: complete at
    every moment, also where the disk runs full. (Lightning's own writes into the system's temporary folder, and from
    another disk a move is a copy that can end half-way.)"""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if is_url(str(path)):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        try:
            write_whole_by(Path(path), lambda file: torch.save(checkpoint, file))
        except (OSError, RuntimeError) as error:
            # torch tells of a full disk by a RuntimeError of its writer.
            kept = "; the one before is kept" if Path(path).is_file() else ""
            raise FileRefusedError(f"{path}: could not be written ({error}){kept}") from error


class LastCheckpoint(Callback):
    """Overwrites `dirpath`/last.ckpt, and keeps the one before for disks that lose what they had."""

    def __init__(self, dirpath: str | Path, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise OptionError(f"callbacks.last.every_n_steps={every_n_steps} must be 1 or more")
        self.folder = Path(dirpath)
        self.every_n_steps = every_n_steps
        self._saved_coding: FittedCoding | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if isinstance(pl_module, AdversarialModule) and trainer.global_step in pl_module.milestones:
            self._save(trainer, pl_module.milestones[trainer.global_step])
        if trainer.should_stop or trainer.global_step % self.every_n_steps == 0:
            self._save(trainer, LAST)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Without a batch to train on, Lightning tells of no training's end.
        if trainer.max_steps == 0:
            self._save(trainer, LAST)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Also where the last batch has just been saved: the coding was fitted since.
        if trainer.global_step > 0:
            self._save(trainer, LAST)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Nor where a run that was killed while its coding was fitted is taken up again.
        if isinstance(pl_module, AdversarialModule) and pl_module.fitted is not self._saved_coding:
            self._save(trainer, LAST)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # What is fitted when training has ended may fail: the trained model must not be lost with it.
        if 0 < trainer.max_steps <= trainer.global_step:
            self._save(trainer, LAST)

    def _save(self, trainer: Trainer, name: str) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            if name == LAST and trainer.is_global_zero:
                _link_to(self.folder / LAST, self.folder / BEFORE_LAST)
            trainer.save_checkpoint(self.folder / name, weights_only=False)
            self._saved_coding = getattr(trainer.lightning_module, "fitted", None)


def _link_to(file: Path, name: Path) -> None:
    """The file under another name too, at no moment under none; nothing where there is no file, or no links."""
    new = name.with_name(f".{name.name}.part")
    with suppress(OSError):
        new.unlink(missing_ok=True)
        os.link(file, new)
        os.replace(new, name)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, but for HiFiC's first stage, whose validations do not count where a second one follows: it aims at
    nothing but what is measured, and would win by construction."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, AdversarialModule) and pl_module.is_comparable:
            super().on_validation_end(trainer, pl_module)


class GracefulStop(Callback):
    """The first SIGINT or SIGTERM asks for a stop, the next one interrupts at once. All ranks stop after one batch."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.requested = False
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not before: Lightning would compose it with a handler of its own, by which SIGTERM ends the run before it is
        # saved, with status 0 (Lightning#19916).
        for number in self._previous:
            signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        log.warning(
            "stopping after this batch and saving last.ckpt, its coding fitted on photos; once more to stop at once"
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.strategy.reduce_boolean_decision(self.requested, all=False):
            self.requested = trainer.should_stop = True
            trainer.limit_val_batches = 0  # Lightning would validate first

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()


class ReconstructionImages(Callback):
    """After each validation: original left, reconstruction right, at [0, 1] without any stretch of contrast."""

    def __init__(self, dirpath: str | Path, max_images: int = 4) -> None:
        self.folder = Path(dirpath)
        self.max_images = max_images

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor,  # type: ignore[override]
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx >= self.max_images or trainer.sanity_checking or not trainer.is_global_zero:
            return
        pair = torch.cat((batch, outputs), dim=-1)[0]
        picture = (pair.float() * 255).round().clamp(0, 255).byte().movedim(0, -1).cpu().numpy()
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(self.folder / f"{batch_idx:02d}_step{trainer.global_step:07d}.png")
        for logger in trainer.loggers:
            name = f"reconstruction/{batch_idx:02d}"
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image(name, [Image.fromarray(picture)], step=trainer.global_step)


class FitCodingTables(Callback):
    """Shows the finished model whole training photos, on whose latents last.ckpt's coding is fitted: tables on up to
    `num_photos`, a context model and a post-filter on as many as they ask for.

    Checkpoints on the way are fitted on the latents of training crops, which costs nothing but knows too much of
    borders and of earlier weights: on a demo model whole photos gave .36 bits a symbol, its history .68. Stands before
    `LastCheckpoint` in the list of callbacks.
    """

    def __init__(self, num_photos: int = 96) -> None:
        self.num_photos = num_photos

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Without a batch to train on, Lightning tells of no training's end.
        if trainer.max_steps == 0:
            self.on_train_end(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Nor where a run that was killed while this was going on is taken up again.
        if isinstance(pl_module, AdversarialModule) and pl_module.awaits_fitting:
            self.on_train_end(trainer, pl_module)

    @torch.inference_mode()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        if trainer.fast_dev_run or not isinstance(datamodule, ImageDataModule):  # type: ignore[attr-defined]
            return
        if not isinstance(pl_module, CodingModule):
            raise TypeError(f"FitCodingTables serves CodingModule, not {type(pl_module).__name__}")
        count = max(self.num_photos, pl_module.fitting.num_photos)
        log.info("fitting what files are coded with to up to %d whole training photos", count)
        whole, device = datamodule.whole_train_photos, pl_module.device
        pl_module.fit_coding(lambda count: _OnDevice(whole(count), device), self.num_photos)


@dataclass(frozen=True)
class _OnDevice:
    photos: Iterable[Tensor]
    device: torch.device

    def __iter__(self) -> Iterator[Tensor]:
        return (photo.to(self.device) for photo in self.photos)


class LappedInitialization(Callback):
    """Fits what a HiFiC with `initialization=lapped` begins as to whole training photos. Models that go on from
    elsewhere are left as they are.

    The first rank does it, and gives its weights to the others.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        datamodule = getattr(trainer, "datamodule", None)
        if (
            trainer.fast_dev_run  # type: ignore[attr-defined]
            or not isinstance(datamodule, ImageDataModule)
            or not isinstance(pl_module, HificModule)
        ):
            return
        # A resumed training has its weights by now.
        model, mse_weight = pl_module.model, pl_module.objective.weights.mse
        initialization = pl_module.initialization
        if initialization.kind != "lapped" or not is_klt_initialized(model) or mse_weight <= 0:
            return
        if trainer.is_global_zero:
            log.info("fitting a lapped transform to up to %d whole training photos", initialization.num_photos)
            photos = (
                pad_to_multiple(photo.to(pl_module.device), model.stride, model.minimum_size)
                for photo in datamodule.whole_train_photos(initialization.num_photos)
            )
            initialize_lapped(model, photos, mse_weight=mse_weight, steps=initialization.steps, seed=pl_module.seed)
        model.load_state_dict(trainer.strategy.broadcast(model.state_dict()))
        if pl_module.ema is not None:
            pl_module.ema.restart(model.synthesis)
