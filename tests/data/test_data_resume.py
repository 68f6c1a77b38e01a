"""A resumed run must see, batch for batch, what an unbroken one sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from torch import Tensor

from hific.data.image_datamodule import ImageDataModule
from hific.data.make_shards import ShardOptions, make_shards
from hific.data.shards import Shards
from hific.data.source import ImageFolder

WritePhotos = Callable[..., list[Path]]
EPOCH_BATCHES, STEPS = 5, 13


class BatchLog(LightningModule):
    """Learns nothing; writes down (epoch, batch of the epoch, hash of the batch) of each step."""

    def __init__(self, fail_at: int = -1) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.fail_at = fail_at
        self.seen: list[tuple[int, int, int]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        assert batch.dtype == torch.float32 and batch.min() >= 0 and 0.5 < batch.max() <= 1
        if self.global_step == self.fail_at:
            raise RuntimeError("the machine went away")
        self.seen.append((self.current_epoch, batch_idx, hash(batch.numpy().tobytes())))
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.zero_grad()
        self.manual_backward(self.weight * batch.mean())
        optimizer.step()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        assert batch.shape == (1, 3, 36, 40) and batch.dtype == torch.float32

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def folder(write_photos: WritePhotos, tmp_path: Path) -> Path:
    write_photos(*(f"photos/{n}.png" for n in range(14)))
    return tmp_path / "photos"


def fit(
    folder: Path,
    workers: int,
    *,
    ckpt_path: Path | None = None,
    fail_at: int = -1,
    batch_size: int = 3,
    source: Shards | None = None,
    **options: Any,
) -> tuple[Trainer, BatchLog]:
    data = ImageDataModule(
        source or ImageFolder(folder),
        crop=16,
        global_batch_size=batch_size,
        seed=5,
        epoch_batches=EPOCH_BATCHES,
        min_scale=0.5,
        num_workers=workers,
    )
    trainer = Trainer(
        default_root_dir=folder.parent,
        **{"max_steps": STEPS, "max_epochs": -1, "enable_checkpointing": False} | options,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    module = BatchLog(fail_at)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    return trainer, module


def without_epoch(seen: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Lightning counts an epoch that `max_steps` cut short as done, so a run resumed from there is one epoch ahead."""
    return [entry[1:] for entry in seen]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_stopped_after_any_step_goes_on_as_if_it_were_not(workers: int, folder: Path, tmp_path: Path) -> None:
    _, unbroken = fit(folder, workers=0)
    assert [entry[:2] for entry in unbroken.seen] == [divmod(step, EPOCH_BATCHES) for step in range(STEPS)]
    assert len({entry[2] for entry in unbroken.seen}) == STEPS
    for stop in (1, 3, 5, 7, 10):
        trainer, before = fit(folder, workers, max_steps=stop)
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
        resumed, after = fit(folder, workers, ckpt_path=tmp_path / "stopped.ckpt")
        assert without_epoch(before.seen + after.seen) == without_epoch(unbroken.seen), f"stopped after {stop}"
        assert resumed.global_step == STEPS


def test_a_run_over_shards_goes_on_to_the_sample(folder: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, with other numbers of workers before and after, and as a run over the folder."""
    make_shards(ImageFolder(folder), str(tmp_path / "shards"), ShardOptions())
    source = Shards(tmp_path / "shards")
    _, unbroken = fit(folder, workers=0)
    for stop, workers in ((3, 2), (7, 0)):
        trainer, before = fit(folder, workers, source=source, max_steps=stop)
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
        _, after = fit(folder, 2 - workers, source=source, ckpt_path=tmp_path / "stopped.ckpt")
        assert without_epoch(before.seen + after.seen) == without_epoch(unbroken.seen), f"stopped after {stop}"


@pytest.mark.parametrize("workers", [0, 2])
def test_checkpoints_written_while_training_goes_on_are_resumed_exactly(
    workers: int, folder: Path, tmp_path: Path
) -> None:
    """These are written within the end of a batch, when the trainer has not counted it as completed yet."""
    every = ModelCheckpoint(dirpath=tmp_path / "kept", every_n_train_steps=2, save_top_k=-1, filename="{step}")
    _, unbroken = fit(folder, workers, callbacks=[every], enable_checkpointing=True)
    for step in (2, 4, 6, 10):
        _, after = fit(folder, workers, ckpt_path=tmp_path / "kept" / f"step={step}.ckpt")
        assert after.seen == unbroken.seen[step:], f"resumed at {step}"


@pytest.mark.parametrize(
    ("after_training_epoch", "val_every", "saved_at"),
    [(True, 5, [5, 10]), (False, 5, [5, 10]), (False, 2, [2, 4, 7, 9, 12]), (False, 3, [3, 6, 9, 12])],
)
def test_checkpoints_written_after_an_epoch_or_validation_are_resumed_exactly(
    after_training_epoch: bool, val_every: int, saved_at: list[int], folder: Path, tmp_path: Path
) -> None:
    every = ModelCheckpoint(
        dirpath=tmp_path / "kept", filename="{step}", save_top_k=-1, save_on_train_epoch_end=after_training_epoch
    )
    # Every three batches is across epochs of five, which Lightning does only when it may count over them.
    options: dict[str, Any] = {"val_check_interval": val_every}
    options |= {"check_val_every_n_epoch": None} if val_every == 3 else {}
    _, unbroken = fit(folder, 0, callbacks=[every], enable_checkpointing=True, **options)
    assert {path.stem for path in (tmp_path / "kept").iterdir()} >= {f"step={step}" for step in saved_at}
    for step in saved_at:
        _, after = fit(folder, 2, ckpt_path=tmp_path / "kept" / f"step={step}.ckpt", **options)
        assert after.seen == unbroken.seen[step:], f"resumed at {step}"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_broke_within_a_batch_repeats_that_batch(workers: int, folder: Path, tmp_path: Path) -> None:
    _, unbroken = fit(folder, workers)
    saved = OnExceptionCheckpoint(tmp_path, filename="broken")
    with pytest.raises(RuntimeError, match="went away"):
        fit(folder, workers, fail_at=7, callbacks=[saved], enable_checkpointing=True)
    stopped, after = fit(folder, workers, ckpt_path=tmp_path / "broken.ckpt", max_steps=9)
    stopped.save_checkpoint(tmp_path / "again.ckpt")
    _, last = fit(folder, workers, ckpt_path=tmp_path / "again.ckpt")
    assert without_epoch(after.seen + last.seen) == without_epoch(unbroken.seen[7:])


def test_epochs_cut_short_by_the_trainer_go_on_where_they_ended(folder: Path, tmp_path: Path) -> None:
    _, unbroken = fit(folder, 0)
    _, cut = fit(folder, 2, limit_train_batches=2)
    assert [entry[2] for entry in cut.seen] == [entry[2] for entry in unbroken.seen]
    trainer, before = fit(folder, 2, limit_train_batches=2, max_steps=3)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    _, after = fit(folder, 2, limit_train_batches=2, ckpt_path=tmp_path / "stopped.ckpt")
    assert without_epoch(before.seen + after.seen) == without_epoch(cut.seen)


def test_resuming_with_another_order_is_told(folder: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    trainer, _ = fit(folder, 0, max_steps=3)
    trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    fit(folder, 0, ckpt_path=tmp_path / "stopped.ckpt", max_steps=4)
    assert not [str(warning.message) for warning in recwarn if "resum" in str(warning.message)]
    with pytest.warns(UserWarning, match="draws other batches.*: batch 3 -> 4$"):
        fit(folder, 0, ckpt_path=tmp_path / "stopped.ckpt", max_steps=4, batch_size=4)
