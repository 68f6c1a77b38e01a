"""A checkpoint is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from hific.errors import FileRefusedError
from hific.training.callbacks import WholeCheckpointIO


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of this process end at 20 kB, as on a disk that is full: what is written beyond fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpointIO().save_checkpoint({"a": torch.arange(10)}, path)
    with pytest.raises(FileRefusedError, match=r"last\.ckpt: could not be written .*; the one before is kept"):
        WholeCheckpointIO().save_checkpoint({"a": torch.arange(10_000)}, path)
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.arange(10))
    assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]


def test_temporary_files_lie_beside_their_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside: list[list[str]] = []

    def save(checkpoint: object, file: object) -> None:
        beside.append([one.suffix for one in (tmp_path / "run").iterdir()])

    monkeypatch.setattr(torch, "save", save)
    WholeCheckpointIO().save_checkpoint({}, tmp_path / "run" / "last.ckpt")
    assert beside == [[".part"]] and [one.name for one in (tmp_path / "run").iterdir()] == ["last.ckpt"]


def test_training_saves_by_it(
    composed: Callable[..., DictConfig], train: Callable[[DictConfig], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    save = WholeCheckpointIO.save_checkpoint

    def told(self: WholeCheckpointIO, checkpoint: object, path: str, storage_options: object = None) -> None:
        saved.append(Path(path).name)
        save(self, checkpoint, path, storage_options)  # type: ignore[arg-type]

    monkeypatch.setattr(WholeCheckpointIO, "save_checkpoint", told)
    train(composed("model=sae", "recipe.steps=1"))
    assert "last.ckpt" in saved
