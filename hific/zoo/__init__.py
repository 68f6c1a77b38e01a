"""Trained models that travel with the package. Their cards, in this folder, say what they are good for and what not.

NAME.safetensors of each model
  tensors    "table." + name: integers of its coding; "model." + name: weights
  metadata   "hific": JSON, the entry of a checkpoint (codecs/load.py) without its tables;
             "others_from": JSON, names of the files here that have the tensors which are not its own alone
Weights are float16 where that loses nothing of what they were made with. Nothing here imports torch before `read`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hific.errors import CheckpointError

FOLDER = Path(__file__).parent
RATES = ("low", "medium", "high")
COMPRESSNETS = ("compressnet-low", "compressnet-high")
MODELS = (*(f"{system}-{rate}" for system in ("hific", "hific-xgboost") for rate in RATES), *COMPRESSNETS)
# By rate: what a limit on the bytes chooses among.
BY_RATE = (*COMPRESSNETS, *(f"hific-xgboost-{rate}" for rate in RATES))
DEFAULT = "hific-xgboost-medium"
# What an encoder that searches goes by (networks/perceptual_features.py); its tensors have their plain names.
PERCEPTUAL_FEATURES = FOLDER / "perceptual-features.safetensors"
_TABLE, _WEIGHT = "table.", "model."


@dataclass(frozen=True)
class ShippedModel:
    """What is known of a model without its weights; `fingerprint`: 64 hex digits, of which files have the first 8."""

    name: str
    family: str
    fingerprint: str
    training: Mapping[str, Any]


@cache
def describe(name: str) -> ShippedModel:
    """Raises CheckpointError where it is none of `MODELS`, or its file is missing or damaged."""
    entry = json.loads(_metadata(name)["hific"])
    return ShippedModel(name, entry["family"], entry["fingerprint"], entry["training"])


def made_by(fingerprint: bytes) -> str | None:
    """The name of the model with these first four bytes of its fingerprint, if it is here and whole."""
    for name in MODELS:
        with suppress(CheckpointError):
            if describe(name).fingerprint.startswith(fingerprint.hex()):
                return name
    return None


def read(name: str) -> dict[str, Any]:
    """The same as `io.checkpoint_file.read_checkpoint` gives of a training's. Raises as `describe`."""
    metadata = _metadata(name)
    tensors: dict[str, Any] = {}
    for file in (*json.loads(metadata["others_from"]), name):
        tensors |= _tensors(file)
    tables = {key.removeprefix(_TABLE): value for key, value in tensors.items() if key.startswith(_TABLE)}
    weights = {
        key: value.float() if value.is_floating_point() else value
        for key, value in tensors.items()
        if key.startswith(_WEIGHT)
    }
    return {"state_dict": weights, "hific": {**json.loads(metadata["hific"]), "tables": tables}}


def read_perceptual_features() -> dict[str, Any]:
    """float32 tensors by name. CheckpointError where the file is missing or damaged."""
    return {name: value.float() for name, value in _tensors(PERCEPTUAL_FEATURES.stem).items()}


def _metadata(name: str) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    if name not in MODELS:
        raise CheckpointError(f"{name}: no model of this package; there are {', '.join(MODELS)}")
    try:
        with safe_open(_file(name), framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise _damaged(name) from error


def _tensors(name: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(_file(name)))
    except (OSError, SafetensorError) as error:
        raise _damaged(name) from error


def _file(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def _damaged(name: str) -> CheckpointError:
    return CheckpointError(f"{_file(name)}: missing or damaged: install the package anew")
