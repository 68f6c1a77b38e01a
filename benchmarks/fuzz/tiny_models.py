"""Checkpoints of tiny models with random weights, of every system, and with every kind of context model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from hific.codecs.hific import latent_coding
from hific.codecs.latent_coding import LatentCoding
from hific.codecs.load import checkpoint_entry
from hific.context.adaptive import AdaptiveFit
from hific.context.knn import KNNFit
from hific.context.linear import LinearFit
from hific.context.xgboost import XGBoostFit
from hific.fitting.coding import fit_channel_tables
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.fitting.postfilter import PostFilterFit
from hific.models.compressnet import CompressNet
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.postfilter.postfilter import PostFilter

FITS: dict[str, Any] = {
    "linear": LinearFit(),
    "xgboost": XGBoostFit(rounds=4, max_depth=3, num_threads=1),
    "knn": KNNFit(num_neighbors=4, max_references=100),
    "adaptive": AdaptiveFit(),
}
WIDTHS = (4, 4, 6, 6, 8)


@cache
def tiny_hific(seed: int = 0) -> HyperpriorAutoencoder:
    """Whose latents of noise have a standard deviation of about 2."""
    torch.manual_seed(seed)
    model = HyperpriorAutoencoder(widths=WIDTHS, latent_channels=4, hyper_channels=4, residual_blocks=1).eval()
    noise = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        model.analysis.head.weight *= 2 / model.analyze(noise).std()
        model.hyper_analysis[-1].weight *= 2 / model.hyper_analysis(model.analyze(noise)).std()
        hyper_latent_hat = model.hyper_analysis(model.analyze(noise)).round()
        model.mean_synthesis.widen_activation_range(hyper_latent_hat)
        model.scale_synthesis.widen_activation_range(hyper_latent_hat)
    return model


@cache
def tiny_compressnet(switches: str) -> CompressNet:
    torch.manual_seed(0)
    return CompressNet(widths=WIDTHS, residual_blocks=1, latent_channels=4, switches=switches)  # type: ignore[arg-type]


def tiny_coding(model: Any) -> LatentCoding:
    """Tables that never saw data."""
    if isinstance(model, HyperpriorAutoencoder):
        return latent_coding(model)
    counts = [np.zeros((width, 4), np.int64) for width in model.widths[:4]]
    return fit_channel_tables(
        [], counts if model.switches == "transmitted" else None, num_channels=model.latent_channels
    )


def with_context(coding: LatentCoding, kind: str, seed: int = 0) -> LatentCoding:
    """With a context model of that kind, of symbols that say nothing."""
    rng = np.random.default_rng(seed)
    channels, tables = coding.prior.latent_channels, len(coding.prior.tables)
    limit = min(2, coding.prior.highest_symbol)
    latents = []
    for _ in range(3):
        table_ids = rng.integers(0, min(tables, 40), (channels, 12, 12)).astype(np.int32)
        if coding.prior.num_levels is not None:
            table_ids[:] = np.arange(channels)[:, None, None]
        latents.append(TrainingLatent(rng.integers(-limit, limit + 1, table_ids.shape).astype(np.int32), table_ids))
    fit = ContextFit(FITS[kind], side=5, reach=1, max_windows=2000)
    return replace(coding, context_coded=fit(latents, coding.prior.tables, channels))


def tiny_post_filter() -> PostFilter:
    """Of trees that learned from noise."""
    rng = np.random.default_rng(0)
    fit = PostFilterFit(side=3, tile=16, rounds=3, max_depth=3, min_child_weight=1.0, num_threads=1)
    pairs = [rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8) for _ in range(2)]
    return fit([fit.patches(index, *pair) for index, pair in enumerate(pairs)])


@cache
def tiny_checkpoints() -> dict[str, dict[str, Any]]:
    """By name, as `train.py` would write them."""
    found = {}
    hific, spn = tiny_hific(), tiny_compressnet("predicted")
    cases: dict[str, tuple[Any, LatentCoding]] = {
        "hific": (hific, tiny_coding(hific)),
        "sae_spn": (spn, tiny_coding(spn)),
        "swwae": (tiny_compressnet("transmitted"), tiny_coding(tiny_compressnet("transmitted"))),
    }
    for kind in FITS:
        cases[f"hific_{kind}"] = hific, with_context(tiny_coding(hific), kind)
    cases["hific_postfilter"] = hific, replace(tiny_coding(hific), post_filter=tiny_post_filter())
    cases["sae_spn_linear"] = spn, with_context(tiny_coding(spn), "linear")
    for name, (model, coding) in cases.items():
        state = {f"model.{key}": value.clone() for key, value in model.state_dict().items()}
        found[name] = {"state_dict": state, "hific": checkpoint_entry(name, model, coding, {"steps": 1})}
    return found
