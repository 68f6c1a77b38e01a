"""A linear predictor: where the symbol probably lies and how surely, then a table for each answer.

features [n, F + 1] ─┬──────────── weights ─ position ─ 8 bins a level ─┐
                     └─ absolute ─ weights ─ error ──── 4 bins ─────────┴─ table id ─ frequencies [n, levels]

All of it is integers: weights, positions and errors (how far off the position probably is) count in 2**-12 of a level.
Tables are counts of training symbols, so that no shape of distribution is assumed; the error bin tells flat places from
busy ones, and those near the border, which have fewer neighbors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.context.coding_order import CodingPass, coding_order
from hific.context.window import Features, Window, causal_window

FRACTION_BITS = 12
BIN_BITS = 3
BINS_PER_LEVEL = 1 << BIN_BITS
ERROR_BINS = 4
OWN_REACH = 3
CROSS_REACH = 2
# Far above any sensible weight (32 levels a level); keeps every sum below 2**31 for windows of up to 4000 neighbors.
MAX_WEIGHT = 1 << 17

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class LinearPredictor:
    """A `NeighborPredictor`, made by `fit_linear_predictor`.

    position_weights, error_weights: int32 [passes, terms]; a row holds a weight per neighbor, one for the count of
    those outside, then the constant, then zeros. error_thresholds: int32 [passes, ERROR_BINS - 1], rising. tables:
    int32 [passes, levels * BINS_PER_LEVEL * ERROR_BINS, levels].
    """

    position_weights: Ints
    error_weights: Ints
    error_thresholds: Ints
    tables: Ints

    def __post_init__(self) -> None:
        num_passes = len(coding_order(self.num_channels))
        terms = max((len(self.window(step)) + 2 for step in coding_order(self.num_channels)), default=0)
        expected = {
            "position_weights": (num_passes, terms),
            "error_weights": (num_passes, terms),
            "error_thresholds": (num_passes, ERROR_BINS - 1),
            "tables": (num_passes, self.levels * BINS_PER_LEVEL * ERROR_BINS, self.levels),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"context model: {name} is {getattr(self, name).shape}, not {shape}")
        if max(np.abs(self.position_weights).max(initial=0), np.abs(self.error_weights).max(initial=0)) > MAX_WEIGHT:
            raise ValueError("context model: a weight is out of range")
        if (self.tables < 1).any() or (self.tables.sum(axis=2) != TOTAL).any():
            raise ValueError("context model: a table is not positive or does not sum to 2**16")

    @property
    def levels(self) -> int:
        return self.tables.shape[-1]

    @cached_property
    def num_channels(self) -> int:
        return len(self.tables) // len(coding_order(1))

    def window(self, step: CodingPass) -> Window:
        return causal_window(step, self.num_channels, OWN_REACH, CROSS_REACH)

    def frequencies(self, step: CodingPass, features: Features) -> Ints:
        """int32 [n, levels] from features int16 [n, F + 1]; one lookup."""
        return self.tables[step.index][self.table_ids(step, features)]

    def table_ids(self, step: CodingPass, features: Features) -> NDArray[np.int64]:
        position = weigh(features, self.position_weights[step.index])
        error = weigh(np.abs(features), self.error_weights[step.index])
        return table_ids(position, error, self.error_thresholds[step.index], self.levels)

    def state(self) -> dict[str, Ints]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: Mapping[str, Ints]) -> LinearPredictor:
        """Raises ValueError for arrays that no fit makes, KeyError for missing ones."""
        return cls(**{name: np.asarray(state[name], np.int32) for name in cls.__dataclass_fields__})


def weigh(features: Features, weights: Ints) -> Ints:
    """The weighted sum of features [n, F + 1] plus the constant, int32 [n]; `weights` as of LinearPredictor."""
    num_terms = features.shape[1]
    return features.astype(np.int32) @ weights[:num_terms] + weights[num_terms]


def table_ids(position: Ints, error: Ints, error_thresholds: Ints, levels: int) -> NDArray[np.int64]:
    """Which of the levels * BINS_PER_LEVEL * ERROR_BINS tables; positions are cut to [-0.5, levels - 0.5]."""
    half_level = 1 << FRACTION_BITS - 1
    bins = position + half_level >> FRACTION_BITS - BIN_BITS
    position_bins = np.clip(bins, 0, levels * BINS_PER_LEVEL - 1).astype(np.int64)
    return position_bins * ERROR_BINS + np.searchsorted(error_thresholds, error, side="right")
