"""Reading a checkpoint file: plain values and tensors, or an error that says what the file is instead."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

from hific.errors import CheckpointError

CHECKPOINT_FORMAT = 2
# What `torch.load` was seen to raise on 12,000 damaged files.
DAMAGE = (
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `torch.save` put there, tensors memory-mapped; empty where it is no dictionary. Raises CheckpointError."""
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder; the checkpoint of a run is {path / 'last.ckpt'}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; `make demo` or `python train.py` makes one")
    try:
        # mmap: of a training checkpoint two thirds are optimizer states, which stay on disk.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused: no checkpoint, or one with more than plain values and tensors"
        ) from error
    except PermissionError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error
    except DAMAGE as error:
        raise CheckpointError(f"{path}: damaged or cut short, or no checkpoint: take another copy") from error
    return checkpoint if isinstance(checkpoint, dict) else {}
