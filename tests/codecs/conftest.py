"""Codecs of tiny checkpoints, of every system and with every kind of context model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from photos import photo
from small_codecs import SWITCHES, wake, with_context

from hific.codecs.latent_coding import LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import checkpoint_entry, load_codec

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., LearnedCodec]


@pytest.fixture
def make_system(make_checkpoint: MakeCheckpoint, make_hific_checkpoint: MakeCheckpoint) -> MakeCheckpoint:
    """`make(system, seed=..., ...)`: the checkpoint of one of SWITCHES, or of `hific`."""

    def make(system: str, *, seed: int = 0, **arguments: Any) -> Path:
        name = f"{system}{seed}.ckpt"
        if system == "hific":
            return make_hific_checkpoint(name, seed=seed, **arguments)
        return make_checkpoint(name, seed=seed, switches=SWITCHES[system], **arguments)

    return make


@pytest.fixture
def make_codec(make_system: MakeCheckpoint) -> MakeCodec:
    """`make(system, seed=..., ...)`: with those options of its codec."""

    def make(system: str, *, seed: int = 0, **options: Any) -> LearnedCodec:
        return wake(load_codec(make_system(system, seed=seed), **options))

    return make


@pytest.fixture(scope="session")
def fitted_codings() -> dict[str, LatentCoding]:
    """By their checkpoints' names: the networks are the same each time, so one fit does for all tests."""
    return {}


@pytest.fixture
def make_context(make_system: MakeCheckpoint, fitted_codings: dict[str, LatentCoding]) -> MakeCheckpoint:
    """`make(kind, system, ...)`: the same tiny networks each time, with a context model of that kind, fitted to what
    they make of four photos."""

    def make(kind: str, system: str = "hific", **options: Any) -> Path:
        path, name = make_system(system), f"{system}_{kind}"
        codec = load_codec(path)
        named = path.with_name("_".join([name, *options]) + ".ckpt")
        if named.name not in fitted_codings:
            images = [photo(96, 80, seed) for seed in range(4)]
            fitted_codings[named.name] = with_context(codec, images, kind, **options)
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["hific"] = checkpoint_entry(name, codec.model, fitted_codings[named.name], {})
        torch.save(checkpoint, named)
        return named

    return make
