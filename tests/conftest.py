"""What several tests share: where optional images and weights are, a tiny checkpoint, one thread a test process."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import alexnet, squeezenet1_1

from hific.codecs.hific import latent_coding
from hific.codecs.load import checkpoint_entry
from hific.fitting.coding import fit_channel_tables
from hific.models.compressnet import CompressNet
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

# Several test processes run beside each other; more threads than cores only slow them down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WANDB_MODE", "offline")
# What is tested is measured, and nothing is left behind; tests of the cache name a folder of their own.
os.environ["HIFIC_CACHE"] = ""
# A shell without job control starts what it puts into the background deaf to Ctrl-C, and all that this starts with it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

MakeCheckpoint = Callable[..., Path]
REPOSITORY = Path(__file__).resolve().parents[1]


def _optional_folder(variable: str, beside: str, needed: str) -> Path:
    """The folder that the environment names, or one beside the checkout; skips where there is neither."""
    candidates = [Path(os.environ[variable])] if os.environ.get(variable) else []
    candidates.append(REPOSITORY.parent / "shared" / beside)
    for folder in candidates:
        if (folder / needed).exists():
            return folder
    pytest.skip(f"{needed} is not at hand: set {variable} to a folder that has it")


@pytest.fixture(autouse=True)
def _loggers_as_before() -> Iterator[None]:
    """Hydra configures logging for the whole process, and turns off every logger that is there already: what a later
    test reads in the log must not depend on that."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder with the pretrained trunks, or a skip."""
    return _optional_folder("HIFIC_WEIGHTS", "weights", "alexnet_features_torchvision.pth")


@pytest.fixture(scope="session")
def random_weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of AlexNet and SqueezeNet, so that laws of perceptual terms are tested where no pretrained file
    is at hand."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)
    for name, network in (("alexnet_features", alexnet), ("squeezenet1_1_features", squeezenet1_1)):
        with torch.device("meta"):
            shapes = network(weights=None).features.state_dict()
        state = {f"features.{key}": torch.randn(value.shape, generator=generator) for key, value in shapes.items()}
        # Activations that neither die out nor grow, so that what is compared is no rounding error.
        state = {key: value * (2 / max(1, value[0].numel())) ** 0.5 for key, value in state.items()}
        torch.save(state, folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="session")
def kodak_root() -> Path:
    """The folder with kodim01.png .. kodim24.png, or a skip."""
    return _optional_folder("HIFIC_KODAK", "data/kodak", "kodim01.png")


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """`make(name, seed=..., switches=...)`: a tiny CompressNet with random weights and tables that never saw data;
    every promise must hold for it too."""

    def make(name: str = "model.ckpt", *, seed: int = 0, **arguments: Any) -> Path:
        torch.manual_seed(seed)
        model = CompressNet(**{"widths": (4, 4, 6, 6, 8), "residual_blocks": 1, "latent_channels": 4, **arguments})
        shapes = [np.zeros((width, 4), dtype=np.int64) for width in model.widths[:4]]
        counts = shapes if model.switches == "transmitted" else None
        coding = fit_channel_tables([], counts, num_channels=model.latent_channels)
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
def make_hific_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """`make(name, seed=..., deviation=...)`: a tiny HiFiC with random weights, whose latents of noise have about that
    standard deviation (larger ones make larger files)."""

    def make(name: str = "hific.ckpt", *, seed: int = 0, deviation: float = 2.0, **arguments: Any) -> Path:
        torch.manual_seed(seed)
        sizes = {"widths": (4, 4, 6, 6, 8), "latent_channels": 4, "hyper_channels": 4, "residual_blocks": 1}
        model = HyperpriorAutoencoder(**{**sizes, **arguments}).eval()
        noise = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            # As they are made, all latents would round to 0.
            model.analysis.head.weight *= deviation / model.analyze(noise).std()
            model.hyper_analysis[-1].weight *= 2 / model.hyper_analysis(model.analyze(noise)).std()
            hyper_latent_hat = model.hyper_analysis(model.analyze(noise)).round()
            model.mean_synthesis.widen_activation_range(hyper_latent_hat)
            model.scale_synthesis.widen_activation_range(hyper_latent_hat)
        checkpoint = {
            "state_dict": {f"model.{key}": value for key, value in model.state_dict().items()},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(5)}}}],
            "global_step": 20,
            "hific": checkpoint_entry("hific_tiny", model, latent_coding(model), {"steps": 20}),
        }
        torch.save(checkpoint, tmp_path / name)
        return tmp_path / name

    return make
