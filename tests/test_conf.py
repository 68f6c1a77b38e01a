"""Every combination of the configuration groups composes and instantiates."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate

import train  # noqa: F401  registers what the configuration computes with

MODELS = ["sae", "swwae", "sae_spn", "gc", "hific", "hific_xgboost", "hific_knn"]
CONF = Path(__file__).resolve().parents[1] / "conf"


def names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize(("model", "size"), product(MODELS, ["tiny", "small", "paper"]))
def test_models_instantiate_at_every_size(model: str, size: str) -> None:
    off = ["size.compressnet.perceptual=none", "size.hific.perceptual=none"]
    overrides = [f"model={model}", f"size={size}", *off, "output_dir=unused"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with torch.device("meta"):
        module = instantiate(config.model)
    assert module.name == model
    assert 0 < module.schedule(0.5) <= 1


@pytest.mark.parametrize("group", ["rate", "trainer", "logger", "data", "size", "experiment"])
def test_groups_compose(group: str) -> None:
    for name in names(group):
        if name == "image_datamodule":
            continue
        option = f"{group}={name}"
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose("train", [option, "output_dir=unused"])


def test_rates_hold_what_every_model_needs() -> None:
    channels = []
    for rate in ("low", "medium", "high"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", [f"rate={rate}", "output_dir=unused"])
        assert set(config.rate) == {"name", "latent_channels", "target_bpp"}
        channels.append(config.rate.latent_channels)
    assert channels == [4, 6, 8]
