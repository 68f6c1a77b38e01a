"""Nearest neighbors among windows of the training photos: votes of their bins, mixed with the tables.

    features ── minus the table id, times a scale each ── integers [n, D] ── k nearest references ── votes
    frequencies ~ (256 - w) * the table's frequencies + w * votes

Distances are exact: products of integers in float64. Neighbors are ordered by (squared distance, index), so that ties,
of which integers have many, fall the same way everywhere; library searches break them differently from run to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints
from hific.context.context_model import ContextModel, Features, State, Windows, check_frequencies, cross_entropy

WEIGHT_UNIT = 256
# Of scaled features: sums of 128 products stay below 2**40, and times the number of references below 2**53.
FEATURE_LIMIT = 1 << 15
MAX_REFERENCES = 1 << 13
_GROUPS = 128
# 2048 queries by 4096 references in float64 are 64 MiB.
_QUERIES_AT_ONCE = 1 << 11


@dataclass(frozen=True)
class KNNModel(ContextModel):
    """Made by `KNNFit`. Raises ValueError for parts that do not fit one another.

    table_frequencies: int32 [T, bins]; scales: int32 [F], in 1/256, of which the table id's counts too;
    references: int32 [R, F], scaled; reference_bins: int32 [R]; num_neighbors: k; weight: w of 256.
    """

    table_frequencies: Ints
    scales: Ints
    references: Ints
    reference_bins: Ints
    num_neighbors: int
    weight: int

    def __post_init__(self) -> None:
        if self.references.ndim != 2:
            raise ValueError(f"knn context model: references {self.references.shape}")
        count, dimensions = self.references.shape
        if self.scales.shape != (dimensions,) or self.reference_bins.shape != (count,) or count > MAX_REFERENCES:
            raise ValueError("knn context model: references, their bins and scales do not fit one another")
        if not 1 <= self.num_neighbors <= count or not 0 <= self.weight <= WEIGHT_UNIT:
            raise ValueError(f"knn context model: {self.num_neighbors} of {count} neighbors, weight {self.weight}")
        check_frequencies("knn context model", self.table_frequencies)
        # Not by magnitudes: -(-2**31) is no int32.
        if ((self.references < -FEATURE_LIMIT) | (self.references > FEATURE_LIMIT)).any():
            raise ValueError("knn context model: a reference is out of range")
        if not 0 <= self.reference_bins.min() <= self.reference_bins.max() < self.num_bins:
            raise ValueError("knn context model: a reference is of no bin")

    @property
    def num_bins(self) -> int:
        return self.table_frequencies.shape[1]

    def votes(self, features: Features) -> NDArray[np.int64]:
        """How many of the k nearest are of each bin, int64 [n, bins]."""
        queries = scale_features(features, self.scales)
        blocks = [
            self._votes(queries[start : start + _QUERIES_AT_ONCE]) for start in range(0, len(queries), _QUERIES_AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, self.num_bins), np.int64), *blocks])

    def frequencies(self, features: Features) -> Ints:
        base = self.table_frequencies[features[:, 0]].astype(np.int64)
        return mix(base, self.votes(features), self.num_neighbors, self.weight)

    def state(self) -> dict[str, NDArray[np.integer]]:
        return {
            "table_frequencies": self.table_frequencies,
            "scales": self.scales,
            "references": self.references,
            "reference_bins": self.reference_bins,
            "numbers": np.array([self.num_neighbors, self.weight], np.int32),
        }

    @classmethod
    def from_state(cls, state: State) -> KNNModel:
        names = ("table_frequencies", "scales", "references", "reference_bins", "numbers")
        arrays: list[Any] = [np.asarray(state[name]) for name in names]
        if any(array.dtype != np.int32 for array in arrays) or arrays[-1].shape != (2,):
            raise ValueError("knn context model: its arrays are of other types")
        tables, scales, references, bins, numbers = arrays
        return cls(tables, scales, references, bins, *numbers.tolist())

    @cached_property
    def _key_parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        """What keys are made with, [F, R'] and [R'], and a divisor of R': references are filled up, with infinite keys.

        A key is R * squared distance + index, less what is the same for all: one number orders them.
        """
        references, count = self.references.astype(float), len(self.references)
        groups = max(_GROUPS, self.num_neighbors)
        missing = -count % groups
        keys = (references**2).sum(axis=1) * count + np.arange(count)
        products = np.pad(-2.0 * count * references.T, ((0, 0), (0, missing)))
        return products, np.pad(keys, (0, missing), constant_values=np.inf), groups

    def _votes(self, queries: NDArray[np.float64]) -> NDArray[np.int64]:
        products, own, groups = self._key_parts
        num, k = len(queries), self.num_neighbors
        keys = queries @ products
        keys += own
        # The k-th smallest of the groups' minima: the k nearest are among the few keys up to it.
        minima = keys.reshape(num, -1, groups).min(axis=1)
        rows, columns = np.nonzero(keys <= np.partition(minima, k - 1, axis=1)[:, k - 1 : k])
        order = np.lexsort((keys[rows, columns], rows))
        counts = np.bincount(rows, minlength=num)
        firsts = np.cumsum(counts) - counts
        nearest = columns[order[firsts[:, None] + np.arange(k)]]
        places = np.arange(num)[:, None] * self.num_bins + self.reference_bins[nearest]
        return np.bincount(places.ravel(), minlength=num * self.num_bins).reshape(num, -1)


@dataclass(frozen=True)
class KNNFit:
    """num_neighbors: k; max_references: windows that are kept, drawn with `seed`; time grows with them."""

    num_neighbors: int = 32
    max_references: int = 4096
    seed: int = 0

    kind = "knn"

    def __post_init__(self) -> None:
        if not 1 <= self.num_neighbors <= self.max_references <= MAX_REFERENCES:
            raise ValueError(
                f"num_neighbors={self.num_neighbors} is 1 to max_references={self.max_references}, which is at most "
                f"{MAX_REFERENCES}"
            )

    def __call__(self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int) -> KNNModel:
        training.check_any()
        features, bins = training
        # Features count as much as they vary; the table, which says most, and the linear prediction count more.
        spread = np.maximum(features.std(axis=0), 1.0)
        scales = np.rint(16 * 256 / spread)
        scales[:3] *= 4
        kept = np.random.default_rng(self.seed).permutation(len(bins))[: self.max_references]
        scales = np.maximum(scales, 1).astype(np.int32)
        references = scale_features(features[kept], scales).astype(np.int32)
        k = min(self.num_neighbors, len(kept))
        unweighted = KNNModel(table_frequencies, scales, references, bins[kept], k, 0)
        weight = self._weight(unweighted, held_out, table_frequencies) if len(held_out.bins) else 64
        return KNNModel(table_frequencies, scales, references, bins[kept], k, weight)

    def _weight(self, model: KNNModel, held_out: Windows, table_frequencies: Ints) -> int:
        """The w of least bits on the held-out windows."""
        some = slice(None, None, max(1, len(held_out.bins) // 20_000))
        features, bins = held_out.features[some], held_out.bins[some]
        base, votes = table_frequencies[features[:, 0]].astype(np.int64), model.votes(features)
        weights = range(0, WEIGHT_UNIT, 8)
        bits = [cross_entropy(mix(base, votes, model.num_neighbors, weight), bins) for weight in weights]
        return weights[int(np.argmin(bits))]


def scale_features(features: Features, scales: Ints) -> NDArray[np.float64]:
    """Integers of each feature times its scale, float64 [n, F]."""
    scaled = np.floor(features.astype(float) * scales / WEIGHT_UNIT)
    return np.clip(scaled, -FEATURE_LIMIT, FEATURE_LIMIT)


def mix(base: NDArray[np.int64], votes: NDArray[np.int64], num_neighbors: int, weight: int) -> Ints:
    """(256 - w) parts of base frequencies [n, bins], w parts of votes."""
    return normalize_counts((WEIGHT_UNIT - weight) * num_neighbors * base + weight * TOTAL * votes)
