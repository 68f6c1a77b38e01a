"""Which model wrote a file: SHA-256 of all that its bytes depend on. A file's header carries the first four bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


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
            tensor = group[name].detach().cpu().contiguous()
            _add(digest, f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}".encode())
            _add(digest, tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.digest()


def _add(digest: Any, part: Any) -> None:
    # The length keeps neighbors apart: "ab" + "c" must not equal "a" + "bc".
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
