"""Latents, tables and fitted context coders, shared by the tests of what is coded by causal contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.correlated_latents import LEVELS
from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints
from hific.coding.symbol_tables import SymbolTables
from hific.context.adaptive import AdaptiveFit
from hific.context.context_model import ContextModelFit
from hific.context.knn import KNNFit
from hific.context.linear import LinearFit
from hific.context.xgboost import XGBoostFit
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.latent_coders.context_coded import ContextCoded


class Case(NamedTuple):
    """What the tests ask of a kind of context model. most_bits: of what tables alone take, for correlated latents;
    learns: from training photos.
    """

    fit: Any
    most_bits: float
    learns: bool = True


# A new kind is one more line.
CASES = {
    "linear": Case(LinearFit(), 0.97),
    "xgboost": Case(XGBoostFit(rounds=8, max_depth=3, learning_rate=0.4, num_threads=1), 0.93),
    "knn": Case(KNNFit(num_neighbors=8, max_references=600), 0.95),
    "adaptive": Case(AdaptiveFit(), 0.99, learns=False),
}
KINDS = tuple(CASES)
LEARNED = tuple(kind for kind, case in CASES.items() if case.learns)
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


def model_fit(kind: str, **arguments: Any) -> ContextModelFit:
    fit: ContextModelFit = replace(CASES[kind].fit, **arguments)
    return fit


@cache
def fitted(kind: str, order: str = "phases", *, correlated: bool = True, **arguments: Any) -> ContextCoded:
    """To 10 small latents."""
    options = {"num_groups": 2, "reach": 1, "side": 5, "max_windows": 4000, **arguments}
    fit = ContextFit(model_fit(kind), order=order, **options)  # type: ignore[arg-type]
    latents = [latent_of(seed, correlated=correlated) for seed in range(10)]
    return fit(latents, laplace_tables(), CHANNELS)


def level_tables(latents: Sequence[NDArray[np.integer]]) -> SymbolTables:
    """A table a channel, as CompressNet has them: of levels 0..4 less the middle one."""
    counts = np.stack(
        [
            np.bincount(np.concatenate([one[channel].ravel() for one in latents]), minlength=LEVELS) + 1
            for channel in range(len(latents[0]))
        ]
    )
    frequencies = normalize_counts(np.pad(counts, ((0, 0), (0, 1))))
    offsets = np.full(len(counts), -(LEVELS // 2), np.int32)
    return SymbolTables(offsets, np.full(len(counts), LEVELS, np.int32), frequencies.ravel())


def level_latent(latent: NDArray[np.integer]) -> TrainingLatent:
    """Of levels 0..4, as CompressNet's are coded."""
    channels = np.arange(len(latent), dtype=np.int32)[:, None, None]
    return TrainingLatent(latent.astype(np.int32) - LEVELS // 2, np.broadcast_to(channels, latent.shape))


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
