"""A tiny CompressNet with random weights and tables that never saw data: every promise must hold for it too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hific.codecs.compressnet_codec import CompressNetCodec
from hific.codecs.compressnet_coding import CompressNetCoding
from hific.codecs.load import checkpoint_entry, load_codec
from hific.models.compressnet import CompressNet

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., CompressNetCodec]


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    def make(name: str = "model.ckpt", *, seed: int = 0, **arguments: Any) -> Path:
        torch.manual_seed(seed)
        model = CompressNet(**{"widths": (4, 4, 6, 6, 8), "residual_blocks": 1, "latent_channels": 4, **arguments})
        shapes = [np.zeros((width, 4), dtype=np.int64) for width in model.widths[:4]]
        coding = CompressNetCoding.fit(
            [], shapes if model.switches == "transmitted" else None, num_channels=model.latent_channels
        )
        state_dict = {f"model.{key}": value for key, value in model.state_dict().items()}
        state_dict["discriminator.weight"] = torch.zeros(3)
        checkpoint = {
            "state_dict": state_dict,
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(5)}}}],
            "global_step": 20,
            "hific": checkpoint_entry("tiny", model, coding, {"steps": 20}),
        }
        torch.save(checkpoint, tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def make_codec(make_checkpoint: MakeCheckpoint) -> MakeCodec:
    def make(*, seed: int = 0, switches: str = "none", **options: Any) -> CompressNetCodec:
        return load_codec(make_checkpoint(f"{switches}{seed}.ckpt", seed=seed, switches=switches), **options)

    return make
