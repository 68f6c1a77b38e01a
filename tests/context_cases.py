"""Latents, tables and fitted neighbor models, shared by the tests of what is coded by contexts."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints
from hific.coding.symbol_tables import SymbolTables
from hific.fitting.context_model import ContextFit, ContextModelFit, TrainingLatent
from hific.context.fit_predictors import KNNFit, AdaptiveFit, XGBoostFit
from hific.latent_coders.context_coded import ContextCoded

KINDS = ("xgboost", "knn", "table")
CHANNELS = 5
SCALES = np.array([0.1, 0.7, 1.5, 4.0])


@cache
def laplace_tables(scales: tuple[float, ...] = tuple(SCALES)) -> SymbolTables:
    """A table for each scale, as a hyperprior has them; the first is sure of 0."""
    reaches = [max(1, round(4 * scale)) for scale in scales]
    rows = []
    for reach, scale in zip(reaches, scales, strict=True):
        masses = np.exp(-np.abs(np.arange(-reach, reach + 1)) / scale)
        counts = np.append(masses / masses.sum() * 1e6, 100.0)
        rows.append(normalize_counts(np.rint(counts).astype(np.int64)))
    sizes = np.array([2 * reach + 1 for reach in reaches], np.int32)
    return SymbolTables(-np.array(reaches, np.int32), sizes, np.concatenate(rows))


def latent_of(seed: int, height: int = 16, width: int = 20, *, correlated: bool = True) -> TrainingLatent:
    """Symbols int32 [5, h, w] and the tables that they are drawn by; `correlated`: the last two channels follow the
    first two, and all are smooth.
    """
    rng = np.random.default_rng(seed)
    table_ids = rng.integers(0, len(SCALES), (CHANNELS, -(-height // 4), -(-width // 4)))
    table_ids = table_ids.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width].astype(np.int32)
    table_ids[3:] = table_ids[:2]
    noise = rng.laplace(size=(CHANNELS, height + 1, width + 1))
    if correlated:
        noise = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2)) / 1.6
        noise[3:] = 0.9 * noise[:2] + 0.3 * noise[3:]
    symbols = np.rint(noise[:, 1:, 1:] * SCALES[table_ids])
    # As the tables say: what the first codes is 0 but for one in thousands.
    symbols[(table_ids == 0) & (rng.random(symbols.shape) > 1e-3)] = 0
    return TrainingLatent(symbols.astype(np.int32), table_ids)


def any_latent(seed: int, height: int, width: int, largest: int = 1 << 20) -> TrainingLatent:
    """Symbols of all magnitudes, and any tables."""
    rng = np.random.default_rng(seed)
    shape = (CHANNELS, height, width)
    magnitudes = np.rint(np.exp(rng.uniform(0, np.log(largest), shape)) - 1) * rng.choice([0, 1], shape)
    symbols = np.where(rng.random(shape) < 0.7, rng.integers(-2, 3, shape), rng.choice([-1, 1], shape) * magnitudes)
    return TrainingLatent(symbols.astype(np.int32), rng.integers(0, len(SCALES), shape).astype(np.int32))


def predictor_fit(kind: str, **arguments: Any) -> ContextModelFit:
    """Of a few rounds or references."""
    if kind == "xgboost":
        return XGBoostFit(**{"rounds": 8, "max_depth": 3, "learning_rate": 0.4, "num_threads": 1, **arguments})
    return KNNFit(**{"num_neighbors": 8, "max_references": 600, **arguments}) if kind == "knn" else AdaptiveFit()


@cache
def fitted(kind: str, order: str = "phases", *, correlated: bool = True, **arguments: Any) -> ContextCoded:
    """To 10 small latents."""
    options = {"num_groups": 2, "reach": 1, "side": 5, "max_windows": 4000, **arguments}
    fit = ContextFit(predictor_fit(kind), order=order, **options)  # type: ignore[arg-type]
    latents = [latent_of(seed, correlated=correlated) for seed in range(10)]
    return fit(latents, laplace_tables(), CHANNELS)


class RecordingCoder:
    """An encoder's stand-in: the bits that a perfect coder would take, and the frequencies of each pass."""

    def __init__(self) -> None:
        self.num_bits = 0.0
        self.passes: list[Ints] = []

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        self.passes.append(frequencies)
        return self._count(symbols, frequencies)

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        return self._count(symbols, tables[table_ids])

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints:
        starts = np.repeat(np.cumsum(table_sizes) - table_sizes, run_lengths)
        self.num_bits -= np.log2(frequencies[starts + symbols] / TOTAL).sum()
        return symbols

    def code_bits(self, bits: Ints) -> Ints:
        self.num_bits += len(bits)
        return bits

    def _count(self, symbols: Ints, frequencies: Ints) -> Ints:
        self.num_bits -= np.log2(np.take_along_axis(frequencies, symbols[:, None], axis=1) / TOTAL).sum()
        return symbols


def same_state(one: dict[str, NDArray[np.integer]], other: dict[str, NDArray[np.integer]]) -> bool:
    """Names, types and values."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one
    )
