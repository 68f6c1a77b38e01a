"""Codecs of tiny checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., LearnedCodec]


@pytest.fixture
def make_codec(make_checkpoint: MakeCheckpoint) -> MakeCodec:
    """`make(seed=..., switches=..., ...)`: a tiny CompressNet with those options of its codec."""

    def make(*, seed: int = 0, switches: str = "none", **options: Any) -> LearnedCodec:
        return load_codec(make_checkpoint(f"{switches}{seed}.ckpt", seed=seed, switches=switches), **options)

    return make
