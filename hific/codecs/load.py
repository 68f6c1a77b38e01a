"""Checkpoints to codecs. A checkpoint holds plain values and tensors; nothing in it is imported or run.

.ckpt (Lightning)
  state_dict   "model." + name: tensor             (training's optimizers and counters beside it are not read)
               "ema.average." + name: tensor       (where the synthesis was averaged: stands in for it)
  hific        format_version, family, name, arguments, coding (plain values), tables (name: tensor), fingerprint,
               training
"""

from __future__ import annotations

import hashlib
import inspect
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hific.codecs.families import FAMILIES, choose_options, family_of, load_family
from hific.codecs.family import Family, Identity
from hific.codecs.latent_coding import LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.memory import keep_freed_memory
from hific.errors import DAMAGED_FILE, CheckpointError, in_a_line
from hific.io.checkpoint_file import CHECKPOINT_FORMAT, read_checkpoint


def model_fingerprint(
    family: str, described: Any, weights: Mapping[str, Tensor], tables: Mapping[str, Tensor]
) -> bytes:
    """32 bytes over the family and what is described in plain values (as sorted JSON), the weights and the tables.

    Entries are taken in the order of their names, each with name, dtype, shape and values, so neither the order of
    a dict nor the device that holds a tensor shows. Raises TypeError where `described` is not plain JSON values.
    """
    digest = hashlib.sha256()
    _add(digest, json.dumps([family, described], sort_keys=True, separators=(",", ":")).encode())
    for group in (weights, tables):
        _add(digest, str(len(group)).encode())
        for name in sorted(group):
            # A row of one or none may have any stride, which `contiguous` leaves.
            tensor = group[name].detach().cpu().contiguous()
            tensor = tensor if tensor.numel() > 1 else tensor.clone(memory_format=torch.contiguous_format)
            _add(digest, f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}".encode())
            _add(digest, tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.digest()


def _add(digest: Any, part: Any) -> None:
    # The length keeps neighbors apart: "ab" + "c" must not equal "a" + "bc".
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


WEIGHTS_PREFIX = "model."
AVERAGE_PREFIX, AVERAGED = "ema.average.", "synthesis."
# Of arguments, coding and training; ours have some dozens, three deep.
MOST_VALUES, MOST_NESTED = 10_000, 8
ENTRY_TYPES = {
    "family": str,
    "name": str,
    "arguments": dict,
    "coding": dict,
    "tables": dict,
    "fingerprint": str,
    "training": dict,
}


def checkpoint_entry(
    name: str,
    model: nn.Module,
    coding: LatentCoding,
    training: Mapping[str, Any],
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, Any]:
    """What a checkpoint keeps under `hific` beside the `state_dict`, so that every checkpoint can code.

    `name`: the system (`sae_spn`); `training`: plain values to tell the run by (steps, data, commit); `weights`: those
    that files are coded with, where they are not the model's own.
    """
    family = family_of(model)
    family.check(model, coding)
    arguments: dict[str, Any] = dict(model.arguments)  # type: ignore[arg-type]
    description = coding.description()
    tables = {part: torch.from_numpy(array.copy()) for part, array in coding.state().items()}
    coded_with = model.state_dict() if weights is None else weights
    return {
        "format_version": CHECKPOINT_FORMAT,
        "family": family.name,
        "name": name,
        "arguments": arguments,
        "coding": description,
        "tables": tables,
        "fingerprint": model_fingerprint(family.name, [arguments, description], coded_with, tables).hex(),
        "training": dict(training),
    }


def load_codec(path: str | Path, *, device: str | torch.device = "cpu", **options: Any) -> LearnedCodec:
    """The codec of a checkpoint, ready to compress and decompress.

    `options`: of its family, see codecs/families.py; what is None is the codec's own default. Raises CheckpointError
    for what is wrong with the file, OptionError for an option that its codec does not have.
    """
    keep_freed_memory()
    return codec_of_checkpoint(read_checkpoint(Path(path)), Path(path), device=device, **options)


def codec_of_checkpoint(
    checkpoint: Mapping[str, Any], path: Path, *, device: str | torch.device = "cpu", **options: Any
) -> LearnedCodec:
    """The same of what was read of `path`."""
    entry, weights = _checked(checkpoint, path)
    family = load_family(entry["family"])
    chosen = choose_options(family.name, entry["name"], options)
    try:
        described = [entry["arguments"], entry["coding"]]
        fingerprint = model_fingerprint(family.name, described, weights, entry["tables"])
        if fingerprint.hex() != entry["fingerprint"]:
            raise CheckpointError(
                f"{path}: its contents have fingerprint {fingerprint.hex()[:8]}, but {entry['fingerprint'][:8]!a} is "
                "written in it: the file is damaged or was edited; take another copy, or train anew"
            )
        model = _build(family, entry["arguments"], weights)
        tables = {name: tensor.numpy() for name, tensor in entry["tables"].items()}
        coding = LatentCoding.from_state(family.prior, entry["coding"], tables)
        family.check(model, coding)
        identity = Identity(entry["name"], fingerprint, entry["training"])
    except CheckpointError as error:
        raise error if str(path) in str(error) else CheckpointError(f"{path}: {error}") from error
    except DAMAGED_FILE as error:
        reason = in_a_line(error)
        raise CheckpointError(f"{path}: does not fit this version's {family.name} ({reason}): train anew") from error
    return LearnedCodec(family, model.to(device), coding, identity, chosen)


def _checked(checkpoint: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The checked `hific` entry, and the weights to code with by their names in the model."""
    entry = checkpoint.get("hific")
    if not isinstance(entry, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"{path}: a checkpoint, but not one that this suite's train.py made")
    _check_entry(path, entry)
    named = {str(key): value for key, value in checkpoint["state_dict"].items() if isinstance(value, Tensor)}
    if not all(_is_plain(value) for value in (*named.values(), *entry["tables"].values())):
        raise CheckpointError(
            f"{path}: refused: a tensor in it is larger than what is stored of it, or no plain one (sparse, quantized)"
        )
    found = {key.removeprefix(WEIGHTS_PREFIX): value for key, value in named.items() if key.startswith(WEIGHTS_PREFIX)}
    found |= {
        AVERAGED + key.removeprefix(AVERAGE_PREFIX): value
        for key, value in named.items()
        if key.startswith(AVERAGE_PREFIX)
    }
    # Cloned: the memory map must not outlive this call, or a run that goes on saving would change the weights under us.
    weights = {key: value.detach().clone() for key, value in found.items()}
    tables = {key: value.detach().clone() for key, value in entry["tables"].items()}
    return {**entry, "tables": tables}, weights


def _check_entry(path: Path, entry: Mapping[str, Any]) -> None:
    _check_plain(path, entry)
    version = entry.get("format_version")
    if isinstance(version, int) and version > CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{path}: made by a newer version (format {version}, known is {CHECKPOINT_FORMAT}): upgrade hific"
        )
    if version != CHECKPOINT_FORMAT:
        raise CheckpointError(f"{path}: unknown checkpoint format {reprlib.repr(version)}: train anew")
    for key, kind in ENTRY_TYPES.items():
        if not isinstance(entry.get(key), kind):
            raise CheckpointError(f"{path}: its {key!r} is missing or no {kind.__name__}: train anew")
    if entry["family"] not in FAMILIES:
        raise CheckpointError(f"{path}: unknown family {reprlib.repr(entry['family'])}; known: {', '.join(FAMILIES)}")
    known = set(inspect.signature(load_family(entry["family"]).model).parameters)
    unknown = sorted(str(key) for key in entry["arguments"] if key not in known)
    if unknown:
        raise CheckpointError(
            f"{path}: {entry['family']} takes no argument {reprlib.repr(', '.join(unknown))[1:-1]}; nothing named in a "
            "file is imported"
        )
    if not all(isinstance(value, Tensor) for value in entry["tables"].values()):
        raise CheckpointError(f"{path}: its coding tables are not tensors: train anew")


def _is_plain(tensor: Tensor) -> bool:
    """Whether every value is stored, as it is: a view that repeats a few would be copied to any size."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_nested:
        return False
    if tensor.is_conj() or tensor.is_neg():
        return False
    # Of 10**9 rows of nothing the sums are 8 GB.
    if tensor.numel() == 0 and max(tensor.shape) > MOST_VALUES:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _check_plain(path: Path, entry: Mapping[str, Any]) -> None:
    """Raises CheckpointError for more values than a description has, each counted as often as it would be written."""
    waiting: list[tuple[Any, int]] = [(value, 0) for key, value in entry.items() if key != "tables"]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if seen > MOST_VALUES or depth > MOST_NESTED or (isinstance(value, str) and len(value) > MOST_VALUES):
            raise CheckpointError(f"{path}: refused: its description is larger than any model's")
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list | tuple | set):
            waiting += [(one, depth + 1) for one in value]


def _build(family: Family, arguments: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    # On the meta device no time goes into random weights that are replaced at once.
    with torch.device("meta"):
        model = family.model(**arguments)
    due = model.state_dict()
    for name in sorted(due.keys() | weights.keys()):
        if name not in due or name not in weights:
            raise ValueError(f"{name} is {'missing' if name in due else 'not of this model'}")
        if (due[name].dtype, due[name].shape) != (weights[name].dtype, weights[name].shape):
            given = f"{weights[name].dtype} {list(weights[name].shape)}"
            raise ValueError(f"{name} is {given}, due is {due[name].dtype} {list(due[name].shape)}")
        if not bool(torch.isfinite(weights[name]).all()):
            raise ValueError(f"{name} is not finite: the training diverged, or the file is damaged")
    model.load_state_dict(weights, strict=True, assign=True)
    return model
