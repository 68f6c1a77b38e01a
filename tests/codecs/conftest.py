"""Codecs of tiny checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hific.codecs.compressnet_codec import CompressNetCodec
from hific.codecs.load import load_codec

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., CompressNetCodec]


@pytest.fixture
def make_codec(make_checkpoint: MakeCheckpoint) -> MakeCodec:
    def make(*, seed: int = 0, switches: str = "none", **options: Any) -> CompressNetCodec:
        return load_codec(make_checkpoint(f"{switches}{seed}.ckpt", seed=seed, switches=switches), **options)

    return make
