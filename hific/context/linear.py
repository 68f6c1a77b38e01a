"""A table for each answer of the linear prediction: where the symbol probably lies, and how surely.

    features ─┬─ predicted value ────────────── position: 8 to a bin, around the middle one ─┐
              ├─ predicted magnitude residual ─ activity: parts as large each, of its table ─┼─ cell ─ frequencies
              └─ table id, pass ─────────────────────────────────────────────────────────────┘

A cell's frequencies are counts of training symbols, so that no shape of distribution is assumed. Cells are many and
most of them rare: each is blended with a coarser one, and the coarsest with what the table says:

    table <- table, position <- table, position, pass <- table, position, pass, activity

Only cells that enough training symbols came by have frequencies of their own; others take the next coarser cell's. All
of it is integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints
from hific.context.causal_context import UNIT
from hific.context.context_model import ContextModel, Features, State, Windows, check_frequencies, cross_entropy

POSITIONS_PER_BIN = 8
NUM_ACTIVITIES = 6
# How many symbols a coarser cell is worth where a finer one is blended with it: the one of least bits on held-out
# windows. The last all but leaves the tables alone.
BACK_OFFS = (12, 24, 48, 192, 768, 1 << 13)
BACK_OFF_WITHOUT_HELD_OUT = 48
# Training symbols that give a cell frequencies of its own.
FEWEST_SYMBOLS = 4
# Each symbol counts at the positions around its own too: at a distance of -2 to 2, in these parts.
SPREAD = (1, 4, 6, 4, 1)
_PASSES = 1 << 16
# Levels, the coarsest first: what the number of a finest cell is divided by for the number of the cell that holds it.
_DIVISORS = (NUM_ACTIVITIES * _PASSES, NUM_ACTIVITIES, 1)

Cells = NDArray[np.int64]


@dataclass(frozen=True)
class LinearModel(ContextModel):
    """Made by `LinearFit`. Raises ValueError for parts that do not fit one another.

    table_frequencies: int32 [T, bins]; thresholds: int32 [T, NUM_ACTIVITIES - 1], between activities; cells: of each
    level, the coarsest first, int64 [R], rising; cell_frequencies: of each level int32 [R, bins].
    """

    table_frequencies: Ints
    thresholds: Ints
    cells: tuple[Cells, ...]
    cell_frequencies: tuple[Ints, ...]

    def __post_init__(self) -> None:
        for frequencies in (self.table_frequencies, *self.cell_frequencies):
            check_frequencies("linear context model", frequencies)
        num_tables, num_bins = self.table_frequencies.shape
        if self.thresholds.shape != (num_tables, NUM_ACTIVITIES - 1):
            raise ValueError("linear context model: thresholds are for other tables")
        for cells, frequencies in zip(self.cells, self.cell_frequencies, strict=True):
            if frequencies.shape != (len(cells), num_bins) or (cells[1:] <= cells[:-1]).any():
                raise ValueError("linear context model: cells and their frequencies do not fit one another")

    @property
    def num_positions(self) -> int:
        return _num_positions(self.table_frequencies)

    def frequencies(self, features: Features) -> Ints:
        numbers = cell_numbers(features, self.thresholds, self.num_positions)
        frequencies = self.table_frequencies[features[:, 0]]
        for divisor, cells, of_cells in zip(_DIVISORS, self.cells, self.cell_frequencies, strict=True):
            _overlay(frequencies, numbers // divisor, cells, of_cells)
        return frequencies

    def state(self) -> dict[str, NDArray[np.integer]]:
        by_level = zip(self.cells, self.cell_frequencies, strict=True)
        state: dict[str, NDArray[np.integer]] = {
            "table_frequencies": self.table_frequencies,
            "thresholds": self.thresholds,
        }
        for level, (cells, frequencies) in enumerate(by_level):
            state |= {f"cells.{level}": cells, f"cell_frequencies.{level}": frequencies}
        return state

    @classmethod
    def from_state(cls, state: State) -> LinearModel:
        arrays: Any = [np.asarray(state[name]) for name in ("table_frequencies", "thresholds")]
        cells: Any = tuple(np.asarray(state[f"cells.{level}"]) for level in range(len(_DIVISORS)))
        frequencies: Any = tuple(np.asarray(state[f"cell_frequencies.{level}"]) for level in range(len(_DIVISORS)))
        if any(array.dtype != np.int32 for array in (*arrays, *frequencies)):
            raise ValueError("linear context model: its arrays are of other types")
        if any(array.dtype != np.int64 or array.ndim != 1 for array in cells):
            raise ValueError("linear context model: its cells are of other types")
        return cls(arrays[0], arrays[1], cells, frequencies)


@dataclass(frozen=True)
class LinearFit:
    """Counts, and of `BACK_OFFS` the best."""

    kind = "linear"

    def __call__(self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int) -> LinearModel:
        num_tables, num_bins = table_frequencies.shape
        num_positions = _num_positions(table_frequencies)
        thresholds = _thresholds(training.features, num_tables)
        numbers = cell_numbers(training.features, thresholds, num_positions)
        counted = [
            _spread_counts(numbers // divisor, training.bins, num_positions, num_bins, _DIVISORS[0] // divisor)
            for divisor in _DIVISORS
        ]
        cells = tuple(cells for cells, _ in counted)
        counts = [counts for _, counts in counted]
        back_offs = BACK_OFFS if len(held_out.bins) else (BACK_OFF_WITHOUT_HELD_OUT,)
        models = [
            LinearModel(table_frequencies, thresholds, cells, _blended(cells, counts, table_frequencies, back_off))
            for back_off in back_offs
        ]
        return min(models, key=lambda model: cross_entropy(model.frequencies(held_out.features), held_out.bins))


def _blended(
    cells: Sequence[Cells], counts: Sequence[NDArray[np.int64]], table_frequencies: Ints, back_off: int
) -> tuple[Ints, ...]:
    """Frequencies of the cells of each level, int32 [R, bins], of their counts and the next coarser."""
    frequencies: list[Ints] = []
    for divisor, of_level, counts_of_level in zip(_DIVISORS, cells, counts, strict=True):
        numbers = of_level * divisor
        coarser = table_frequencies[numbers // (_DIVISORS[0] * _num_positions(table_frequencies))]
        for coarser_divisor, coarser_cells, of_cells in zip(_DIVISORS, cells, frequencies, strict=False):
            _overlay(coarser, numbers // coarser_divisor, coarser_cells, of_cells)
        prior = back_off * sum(SPREAD) * coarser.astype(np.int64)
        frequencies.append(normalize_counts(counts_of_level * TOTAL + prior))
    return tuple(frequencies)


def cell_numbers(features: Features, thresholds: Ints, num_positions: int) -> Cells:
    """Of the finest cells, int64 [n]: table, position, pass and activity, which runs fastest."""
    tables, values, residuals, passes = features[:, :4].T.astype(np.int64)
    positions = np.clip(values * POSITIONS_PER_BIN // UNIT + num_positions // 2, 0, num_positions - 1)
    activities = (thresholds[tables] <= residuals[:, None]).sum(axis=1)
    return ((tables * num_positions + positions) * _PASSES + passes) * NUM_ACTIVITIES + activities


def _num_positions(table_frequencies: Ints) -> int:
    """Over all bins but the escape."""
    return POSITIONS_PER_BIN * (table_frequencies.shape[1] - 1)


def _overlay(frequencies: Ints, numbers: Cells, cells: Cells, of_cells: Ints) -> None:
    """Replaces rows of frequencies int32 [n, bins] where the numbers [n] are among the cells [R]."""
    if len(cells):
        at = np.minimum(np.searchsorted(cells, numbers), len(cells) - 1)
        found = cells[at] == numbers
        frequencies[found] = of_cells[at[found]]


def _thresholds(features: Features, num_tables: int) -> Ints:
    """Of each table, the magnitude residuals that split its windows into as large parts."""
    thresholds = np.zeros((num_tables, NUM_ACTIVITIES - 1), np.int32)
    for table in np.unique(features[:, 0]).tolist():
        residuals = np.sort(features[features[:, 0] == table, 2])
        thresholds[table] = residuals[len(residuals) * np.arange(1, NUM_ACTIVITIES) // NUM_ACTIVITIES]
    return thresholds


def _spread_counts(
    numbers: Cells, bins: Ints, num_positions: int, num_bins: int, stride: int
) -> tuple[Cells, NDArray[np.int64]]:
    """(cells with symbols enough, int64 [R], counts of their bins [R, num_bins], in parts of `SPREAD`); stride: from a
    position's cell to the next one's.
    """
    pairs, times = np.unique(numbers * num_bins + bins, return_counts=True)
    of_pairs, bins_of_pairs = pairs // num_bins, pairs % num_bins
    positions = of_pairs // stride % num_positions
    spread = []
    for distance in range(-(len(SPREAD) // 2), len(SPREAD) // 2 + 1):
        moved = np.clip(positions + distance, 0, num_positions - 1) - positions
        spread.append(of_pairs + moved * stride)
    cells, places = np.unique(np.concatenate(spread), return_inverse=True)
    counts = np.zeros((len(cells), num_bins), np.int64)
    np.add.at(counts, (places, np.tile(bins_of_pairs, len(SPREAD))), np.concatenate([part * times for part in SPREAD]))
    enough = counts.sum(axis=1) >= FEWEST_SYMBOLS * sum(SPREAD)
    return cells[enough], counts[enough]
