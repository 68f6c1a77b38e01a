"""Checkpoints with a few entries changed and their fingerprint made right again: refused in a line, or a codec.

What is changed: a tensor's type, shape, layout and values; a table's or a tree's numbers; names, missing and added;
plain values of the description. Each is loaded, and where it loads an image goes to bytes and back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.fuzz.outcomes import one_line
from benchmarks.fuzz.tiny_models import tiny_checkpoints
from hific import zoo
from hific.codecs.families import FAMILIES
from hific.codecs.load import AVERAGED, codec_of_checkpoint, model_fingerprint
from hific.errors import CheckpointError

MOST_SECONDS = 1.0
Checkpoint = dict[str, Any]
Rng = np.random.Generator

EXTREMES = (0, 1, -1, 2, 255, 2**15 - 1, -(2**15), 2**16, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
PLAIN = (
    *(None, True, False, 0, 1, -1, 3, 10**6, 2**63, -(2**63), 0.5, float("nan"), float("inf"), 1e300, 1j),
    *("", "x", "xgboost", "9" * 50, "a\nb", "phases\0", b"", [], [0], [[]], {}, {"": 0}, (1, 2), {1: 2}),
    [1e9] * 5,
    [10**5] * 5,
    [-1] * 5,
    ["4"] * 5,
)
KINDS = (torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.bool, torch.uint8, torch.int8)
KINDS += (torch.int16, torch.int32, torch.int64, torch.float32)


@cache
def originals(shipped: bool) -> dict[str, Checkpoint]:
    """The tiny ones, or two of the package's models."""
    return {name: zoo.read(name) for name in ("hific-low", "hific-xgboost-medium")} if shipped else tiny_checkpoints()


def try_checkpoint(seed: int, shipped: bool = False) -> str:
    """The class of what happened to the checkpoint of this seed."""
    rng = np.random.default_rng([1, seed])
    known = originals(shipped)
    checkpoint = mutated(known[str(rng.choice(sorted(known)))], rng)
    try:
        codec = codec_of_checkpoint(checkpoint, Path("fuzzed.ckpt"))
    except CheckpointError as error:
        return f"refused: {one_line(error)}"
    image = rng.integers(0, 256, (37, 50, 3), dtype=np.uint8)
    try:
        decoded = codec.decompress(codec.compress(image))
    except ValueError as error:  # also CheckpointError, BitstreamError
        return f"refused when coding: {one_line(error)}"
    assert decoded.size == (50, 37)
    return "codes an image"


def mutated(original: Checkpoint, rng: Rng) -> Checkpoint:
    """A copy with one to three changes."""
    checkpoint = {
        "state_dict": dict(original["state_dict"]),
        "hific": {**copy.deepcopy({k: v for k, v in original["hific"].items() if k != "tables"})},
    }
    checkpoint["hific"]["tables"] = dict(original["hific"]["tables"])
    for _ in range(int(rng.integers(1, 4))):
        MUTATIONS[int(rng.integers(len(MUTATIONS)))](checkpoint, rng)
    if rng.random() < 0.95 and not checkpoint.pop("nested", False):
        with suppress(Exception):
            checkpoint["hific"]["fingerprint"] = forged_fingerprint(checkpoint)
    return checkpoint


def forged_fingerprint(checkpoint: Checkpoint) -> str:
    """What the checkpoint's contents have now."""
    entry = checkpoint["hific"]
    weights = {
        key.removeprefix("model."): value
        for key, value in checkpoint["state_dict"].items()
        if str(key).startswith("model.") and isinstance(value, Tensor)
    }
    weights |= {
        AVERAGED + key.removeprefix("ema.average."): value
        for key, value in checkpoint["state_dict"].items()
        if str(key).startswith("ema.average.")
    }
    described = [entry["arguments"], entry["coding"]]
    return model_fingerprint(entry["family"], described, weights, entry["tables"]).hex()


def _some(values: Any, rng: Rng) -> Any:
    return values[int(rng.integers(len(values)))]


def _change_table(checkpoint: Checkpoint, rng: Rng) -> None:
    _change_one(checkpoint["hific"]["tables"], rng)


def _change_weight(checkpoint: Checkpoint, rng: Rng) -> None:
    _change_one(checkpoint["state_dict"], rng)


def _change_one(tensors: dict[str, Any], rng: Rng) -> None:
    if not tensors:
        return
    name = _some(sorted(tensors, key=str), rng)
    if not isinstance(tensors[name], Tensor):
        return
    action = _some(("values", "values", "values", "shape", "kind", "layout", "drop", "add", "swap", "none"), rng)
    if action == "drop":
        del tensors[name]
    elif action == "add":
        tensors[_some(("extra", "model.extra", "side_tables.0.sizes", "prior.", f"{name}.", "ema.average.x"), rng)] = (
            tensors[name]
        )
    elif action == "swap":
        tensors[name] = tensors[_some(sorted(tensors, key=str), rng)]
    elif action == "none":
        tensors[name] = _some(PLAIN, rng)
    else:
        with suppress(RuntimeError, TypeError, ValueError, OverflowError):
            tensors[name] = {"values": _other_values, "shape": _other_shape, "kind": _other_kind, "layout": _layout}[
                action
            ](tensors[name], rng)


def _other_values(tensor: Tensor, rng: Rng) -> Tensor:
    values = tensor.clone().reshape(-1)
    if not len(values):
        return tensor
    at = torch.from_numpy(rng.integers(0, len(values), int(_some((1, 1, 3, 100), rng))))
    if tensor.dtype.is_floating_point:
        values[at] = float(_some((float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-45, 0.0, 1e4), rng))
    else:
        limits = torch.iinfo(tensor.dtype)
        chosen = int(_some(EXTREMES, rng)) if rng.random() < 0.7 else int(values[at[0]]) + int(rng.integers(-3, 4))
        values[at] = min(max(chosen, limits.min), limits.max)
        if rng.random() < 0.2:
            values = values.sort(descending=bool(rng.integers(2))).values
    return values.reshape(tensor.shape)


def _other_shape(tensor: Tensor, rng: Rng) -> Tensor:
    flat = tensor.reshape(-1)
    return _some(
        (
            lambda: flat,
            lambda: flat[:0],
            lambda: flat[: len(flat) // 2],
            lambda: tensor[None],
            lambda: tensor[..., None],
            lambda: flat.repeat(3),
            lambda: flat[:1].expand(10**12),
            lambda: flat[:1].expand(1, 10**6).clone() if flat.element_size() <= 4 else flat[:1],
            lambda: tensor[:1],
            lambda: torch.cat((tensor, tensor)),
            lambda: flat[0],
            lambda: torch.zeros((10**9, 0), dtype=tensor.dtype),
            lambda: torch.ones(300_000, dtype=tensor.dtype),
        ),
        rng,
    )()


def _other_kind(tensor: Tensor, rng: Rng) -> Tensor:
    return tensor.to(_some(KINDS, rng))


def _layout(tensor: Tensor, rng: Rng) -> Any:
    return _some(
        (
            lambda: tensor.to_sparse(),
            lambda: torch.sparse_coo_tensor(torch.zeros((1, 1), dtype=torch.long), torch.ones(1), (10**12,)),
            lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
            lambda: torch.nn.Parameter(tensor.float()),
            lambda: tensor.to("meta"),
            lambda: tensor.to(torch.complex64).conj(),
            lambda: torch._neg_view(tensor),
            lambda: tensor.t() if tensor.ndim == 2 else tensor.flip(0),
            lambda: tensor.to_mkldnn(),
        ),
        rng,
    )()


def _change_description(checkpoint: Checkpoint, rng: Rng) -> None:
    """A plain value at any depth, or its name."""
    here: Any = checkpoint["hific"]
    path = [key for key in here if key != "tables"]
    while True:
        key = _some(path, rng)
        inner = here[key]
        if isinstance(inner, dict) and inner and rng.random() < 0.9:
            here, path = inner, list(inner)
        elif isinstance(inner, list) and inner and rng.random() < 0.5:
            here, path = inner, list(range(len(inner)))
        else:
            break
    action = rng.random()
    if action < 0.1 and isinstance(here, dict):
        del here[key]
    elif action < 0.2 and isinstance(here, dict):
        here[_some(("extra", "_target_", 3, None, "context_coded", "post_filter"), rng)] = _some(PLAIN, rng)
    elif action < 0.5 and type(here[key]) is int:
        here[key] += int(_some((-1000, -1, 1, 2, 100, 10**5, 10**9), rng))
    elif action < 0.55:
        here[key] = _nested(rng)
        # Written out it would take all memory: no fingerprint of it can be made.
        checkpoint["nested"] = True
    else:
        here[key] = copy.deepcopy(_some(PLAIN, rng))


def _nested(rng: Rng) -> Any:
    value: Any = [1]
    for _ in range(int(_some((5, 40, 500), rng))):
        value = [value, value] if rng.random() < 0.5 else {"a": value}
    return value


def _change_family(checkpoint: Checkpoint, rng: Rng) -> None:
    checkpoint["hific"]["family"] = _some((*FAMILIES, *FAMILIES, "other", ""), rng)


def _change_trees(checkpoint: Checkpoint, rng: Rng) -> None:
    """A number of the trees' arrays, a length, or any byte; elsewhere any table."""
    tables = checkpoint["hific"]["tables"]
    names = [name for name in tables if name.endswith(".trees") and isinstance(tables[name], Tensor)]
    if not names or not tables[names[0]].numel() or tables[names[0]].dtype != torch.uint8:
        return _change_table(checkpoint, rng)
    data = bytearray(tables[names[0]].reshape(-1).numpy().tobytes())
    if rng.random() < 0.6:
        _change_array(data, rng)
    elif rng.random() < 0.5:
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
    else:
        at = int(rng.integers(len(data)))
        data[at:at] = rng.bytes(int(rng.integers(1, 9))) if rng.random() < 0.5 else b""
        del data[at + 1 : at + int(rng.integers(1, 40))]
    tables[names[0]] = torch.from_numpy(np.frombuffer(bytes(data), np.uint8).copy())
    return None


ARRAYS = (b"left_children", b"right_children", b"parents", b"split_indices", b"split_type", b"leaf_weights")
ARRAYS += (b"default_left", b"split_conditions", b"base_weights", b"categories")


def _change_array(data: bytearray, rng: Rng) -> None:
    """One number of one array of one tree: negative, huge, or another of its own."""
    name = _some(ARRAYS, rng)
    places = [at for at in range(len(data)) if data.startswith(name + b"[$", at)] if len(data) < 40_000 else []
    if not places:
        first = data.find(name + b"[$", int(rng.integers(len(data))))
        places = [first] if first >= 0 else []
    if not places:
        return
    start = _some(places, rng) + len(name) + 2
    size = {b"U": 1, b"l": 4, b"d": 4}.get(bytes(data[start : start + 1]), 4)
    count = int.from_bytes(data[start + 3 : start + 11], "big")
    if not 0 < count < 10**6:
        return
    at = start + 11 + size * int(rng.integers(count))
    number = int(_some((*EXTREMES, *range(8)), rng)) % (1 << 8 * size)
    data[at : at + size] = number.to_bytes(size, "big")


MUTATIONS: tuple[Callable[[Checkpoint, Rng], None], ...] = (
    *(_change_table,) * 4,
    *(_change_weight,) * 2,
    *(_change_description,) * 3,
    *(_change_trees,) * 3,
    _change_family,
)
