"""Checkpoints to codecs. A checkpoint holds plain values and tensors; nothing in it is imported or run.

.ckpt (Lightning)
  state_dict   "model." + name: tensor             (training's optimizers and counters beside it are not read)
  hific        format_version, model, name, arguments, coding (name: tensor), fingerprint, training
"""

from __future__ import annotations

import inspect
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hific.codecs.compressnet_codec import CompressNetCodec, SwitchSource, check_tables
from hific.codecs.compressnet_coding import Coding, CompressNetCoding
from hific.codecs.fingerprint import model_fingerprint
from hific.codecs.pixel_limit import DEFAULT_MAX_PIXELS
from hific.models.compressnet import CompressNet

CHECKPOINT_FORMAT = 1
WEIGHTS_PREFIX = "model."
# Closed: a class is never looked up by a name that a file brings along.
MODELS = {"compressnet": CompressNet}
ENTRY_TYPES = {"model": str, "name": str, "arguments": dict, "coding": dict, "fingerprint": str, "training": dict}
# What `torch.load` was seen to raise on damaged files, besides its UnpicklingError.
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
)


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or not of this suite; the message names it and says what to do."""


def checkpoint_entry(
    name: str, model: CompressNet, coding: CompressNetCoding, training: Mapping[str, Any]
) -> dict[str, Any]:
    """What a checkpoint keeps under `hific` beside the `state_dict`, so that every checkpoint can code.

    `name`: the system (`sae_spn`); `training`: plain values to tell the run by (steps, data, commit).
    """
    check_tables(model, coding)
    state = _as_tensors(coding.state())
    return {
        "format_version": CHECKPOINT_FORMAT,
        "model": "compressnet",
        "name": name,
        "arguments": dict(model.arguments),
        "coding": state,
        "fingerprint": model_fingerprint("compressnet", model.arguments, model.state_dict(), state).hex(),
        "training": dict(training),
    }


def load_codec(
    path: str | Path,
    *,
    coding: Coding = "context",
    switch_source: SwitchSource = "predicted",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    device: str | torch.device = "cpu",
) -> CompressNetCodec:
    """The codec of a checkpoint, ready to compress and decompress. Raises `CheckpointError`."""
    entry, weights = _read(Path(path))
    try:
        fingerprint = model_fingerprint(entry["model"], entry["arguments"], weights, entry["coding"])
        if fingerprint.hex() != entry["fingerprint"]:
            raise CheckpointError(
                f"{path}: its contents have fingerprint {fingerprint.hex()[:8]}, but {entry['fingerprint'][:8]} is "
                "written in it: the file is damaged or was edited; take another copy, or train anew"
            )
        model = _build(MODELS[entry["model"]], entry["arguments"], weights)
        tables = CompressNetCoding.from_state({key: tensor.numpy() for key, tensor in entry["coding"].items()})
        check_tables(model, tables)
    except CheckpointError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path}: does not fit this version's {entry['model']} ({error}): train anew") from error
    return CompressNetCodec(
        model.to(device),
        tables,
        fingerprint,
        name=entry["name"],
        coding=coding,
        switch_source=switch_source,
        max_pixels=max_pixels,
        training=entry["training"],
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The checked `hific` entry, and the model's weights by their names in the model."""
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
    entry = checkpoint.get("hific") if isinstance(checkpoint, dict) else None
    if not isinstance(entry, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path}: a checkpoint, but not one that this suite's train.py made")
    _check_entry(path, entry)
    named = {str(key): value for key, value in checkpoint["state_dict"].items()}
    # Cloned: the memory map must not outlive this call, or a run that goes on saving would change the weights under us.
    weights = {
        key.removeprefix(WEIGHTS_PREFIX): value.clone()
        for key, value in named.items()
        if key.startswith(WEIGHTS_PREFIX) and isinstance(value, Tensor)
    }
    entry["coding"] = {key: value.clone() for key, value in entry["coding"].items()}
    return entry, weights


def _check_entry(path: Path, entry: Mapping[str, Any]) -> None:
    version = entry.get("format_version")
    if isinstance(version, int) and version > CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{path}: made by a newer version (format {version}, known is {CHECKPOINT_FORMAT}): upgrade hific"
        )
    if version != CHECKPOINT_FORMAT:
        raise CheckpointError(f"{path}: unknown checkpoint format {version!r}: train anew")
    for key, kind in ENTRY_TYPES.items():
        if not isinstance(entry.get(key), kind):
            raise CheckpointError(f"{path}: its {key!r} is missing or no {kind.__name__}: train anew")
    if entry["model"] not in MODELS:
        raise CheckpointError(f"{path}: unknown model {entry['model']!r}; known: {', '.join(MODELS)}")
    known = set(inspect.signature(MODELS[entry["model"]]).parameters)
    unknown = sorted(str(key) for key in entry["arguments"] if key not in known)
    if unknown:
        raise CheckpointError(
            f"{path}: {entry['model']} takes no argument {', '.join(unknown)}; nothing named in a file is imported"
        )
    if not all(isinstance(value, Tensor) for value in entry["coding"].values()):
        raise CheckpointError(f"{path}: its coding tables are not tensors: train anew")


def _build(model_class: type[CompressNet], arguments: Mapping[str, Any], weights: Mapping[str, Tensor]) -> CompressNet:
    # On the meta device no time goes into random weights that are replaced at once.
    with torch.device("meta"):
        model = model_class(**arguments)
    model.load_state_dict(weights, strict=True, assign=True)
    return model


def _as_tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(array.copy()) for key, array in state.items()}
