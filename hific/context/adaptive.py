"""Adaptive counts, nothing learned before: the floor that learned context models are compared with.

A cell is the table and how lively the window is: 0, 1, or more in sum of magnitudes. Its counts start as the table's
frequencies, worth a few symbols, and go on with what is coded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints
from hific.context.context_model import ContextModel, Features, State, Windows, check_frequencies

# How many symbols the table's frequencies are worth.
PRIOR_SYMBOLS = 32
_MOST_LIVELY = 2
# Of the largest window, 9 x 9, beside its middle.
MOST_AROUND = 80


@dataclass(frozen=True)
class AdaptiveModel(ContextModel):
    """table_frequencies: int32 [T, bins], where its counts start; window_size: how many features, the last, are the
    window.
    """

    table_frequencies: Ints
    window_size: int
    _counts: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_frequencies("adaptive context model", self.table_frequencies)
        shape = (len(self.table_frequencies), _MOST_LIVELY + 1, self.table_frequencies.shape[1])
        object.__setattr__(self, "_counts", np.zeros(shape, np.int64))

    def frequencies(self, features: Features) -> Ints:
        tables, liveliness = self._cells(features)
        prior = self.table_frequencies[tables].astype(np.int64) * PRIOR_SYMBOLS
        return normalize_counts(prior + self._counts[tables, liveliness] * TOTAL)

    def observe(self, features: Features, bins: Ints) -> None:
        np.add.at(self._counts, (*self._cells(features), bins), 1)

    def copy(self) -> AdaptiveModel:
        return AdaptiveModel(self.table_frequencies, self.window_size)

    def state(self) -> dict[str, NDArray[np.integer]]:
        return {"table_frequencies": self.table_frequencies, "window_size": np.array(self.window_size, np.int32)}

    @classmethod
    def from_state(cls, state: State) -> AdaptiveModel:
        tables: Any = np.asarray(state["table_frequencies"])
        window_size = np.asarray(state["window_size"])
        if (tables.dtype, window_size.dtype, window_size.shape) != (np.int32, np.int32, ()):
            raise ValueError("adaptive context model: its arrays are of other types")
        if not 0 <= int(window_size) <= MOST_AROUND:
            raise ValueError(f"adaptive context model: a window of {window_size}")
        return cls(tables, int(window_size))

    def _cells(self, features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        window = features[:, features.shape[1] - self.window_size :].astype(np.int64)
        return features[:, 0].astype(np.int64), np.minimum(np.abs(window).sum(axis=1), _MOST_LIVELY)


@dataclass(frozen=True)
class AdaptiveFit:
    """Nothing to learn."""

    kind = "adaptive"

    def __call__(
        self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int
    ) -> AdaptiveModel:
        return AdaptiveModel(table_frequencies, window_size)
