"""Tables of CompressNet's levels and switches, from counts; ranges of HiFiC's integer hyper-syntheses, from photos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hific.codecs.latent_coding import LatentCoding
from hific.codecs.priors import ChannelPrior
from hific.coding.frequency_table import normalize_counts
from hific.coding.symbol_tables import SymbolTables
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.geometry import pad_to_multiple


def fit_channel_tables(
    latents: Sequence[NDArray[np.integer]],
    switch_counts: Sequence[NDArray[np.int64]] | None = None,
    *,
    num_channels: int,
    num_levels: int = 5,
) -> LatentCoding:
    """From training latents, integers 0..num_levels-1 of [C, h, w] each, any sizes; and counts [k_i, 4] of switches per
    scale, or None where none are transmitted.

    Without any latents the tables are uniform. ValueError for latents of other channels or levels.
    """
    counts = np.ones((num_channels, num_levels), np.int64)
    for latent in latents:
        if latent.ndim != 3 or len(latent) != num_channels:
            raise ValueError(f"a training latent is [{num_channels}, h, w], not {list(latent.shape)}")
        if latent.size and not 0 <= int(latent.min()) <= int(latent.max()) < num_levels:
            raise ValueError(f"levels lie in 0..{num_levels - 1}, not {latent.min()}..{latent.max()}")
        for channel in range(num_channels):
            counts[channel] += np.bincount(latent[channel].ravel(), minlength=num_levels)
    side_tables = tuple(_switch_tables(np.asarray(count)) for count in switch_counts or ())
    return LatentCoding(ChannelPrior.from_counts(counts), side_tables)


def _switch_tables(counts: NDArray[np.int64]) -> SymbolTables:
    """counts [k, 4]: how often each switch occurred in each channel."""
    num_channels, num_values = counts.shape
    # The escape, which nothing uses, takes one of 2**16.
    frequencies = normalize_counts(np.append(counts + 1, np.zeros((num_channels, 1), np.int64), axis=1))
    zeros, sizes = np.zeros(num_channels, np.int32), np.full(num_channels, num_values, np.int32)
    return SymbolTables(zeros, sizes, frequencies.ravel())


@torch.no_grad()
def fit_activation_ranges(model: HyperpriorAutoencoder, photos: Iterable[Tensor]) -> None:
    """Sets them from whole photos [1, 3, H, W] in [0, 1], in place: crops know too much of borders."""
    networks = (model.mean_synthesis, model.scale_synthesis)
    for network in networks:
        network.activation_range.zero_()
    for photo in photos:
        latent = model.analyze(pad_to_multiple(photo, model.stride, model.minimum_size))
        hyper_latent_hat = model.predict(latent).hyper_latent.round()
        for network in networks:
            network.widen_activation_range(hyper_latent_hat)
