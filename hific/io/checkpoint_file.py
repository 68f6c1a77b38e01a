"""Reading a checkpoint file: plain values and tensors, or an error that says what the file is instead."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from hific import zoo
from hific.errors import DAMAGED_FILE, CheckpointError

CHECKPOINT_FORMAT = 2


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `torch.save` put there, tensors memory-mapped; empty where it is no dictionary. The name of a shipped model
    (hific/zoo) is taken as its file, unless there is another of that name. Raises CheckpointError."""
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder; the checkpoint of a run is {path / 'last.ckpt'}")
    if not path.exists() and str(path) in zoo.MODELS:
        return zoo.read(str(path))
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint, and no model of this package, which are {', '.join(zoo.MODELS)}"
        )
    _check_stored(path)
    try:
        # mmap: of a training checkpoint two thirds are optimizer states, which stay on disk.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused: no checkpoint, or one with more than plain values and tensors"
        ) from error
    except PermissionError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except DAMAGED_FILE as error:
        raise CheckpointError(f"{path}: damaged or cut short, or no checkpoint: take another copy") from error
    return checkpoint if isinstance(checkpoint, dict) else {}


def _check_stored(path: Path) -> None:
    """Raises CheckpointError for parts that are compressed, which `torch.save` never writes: a few kilobytes could
    become any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, struct.error, OSError, LookupError, NotImplementedError):
        # For `torch.load` to tell.
        return
    if any(part.compress_type != zipfile.ZIP_STORED or part.file_size != part.compress_size for part in parts):
        raise CheckpointError(f"{path}: refused: parts of it are compressed, which no checkpoint's are")
