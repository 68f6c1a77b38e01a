"""Which model wrote a file: SHA-256 of all that its bytes depend on. A file's header carries the first four bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def model_fingerprint(
    model_class: str, arguments: Mapping[str, Any], weights: Mapping[str, Tensor], coding_state: Mapping[str, Tensor]
) -> bytes:
    """32 bytes over the model's class and arguments (as sorted JSON), its weights and its coding tables.

    Entries are taken in the order of their names, each with name, dtype, shape and values, so neither the order of
    a dict nor the device that holds a tensor shows. Raises TypeError on arguments that are not plain JSON values.
    """
    digest = hashlib.sha256()
    _add(digest, json.dumps([model_class, dict(arguments)], sort_keys=True, separators=(",", ":")).encode())
    for group in (weights, coding_state):
        _add(digest, str(len(group)).encode())
        for name in sorted(group):
            tensor = group[name].detach().cpu().contiguous()
            _add(digest, f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}".encode())
            _add(digest, tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.digest()


def _add(digest: Any, part: Any) -> None:
    # The length keeps neighbors apart: "ab" + "c" must not equal "a" + "bc".
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
