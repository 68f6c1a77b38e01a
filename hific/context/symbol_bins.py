"""Symbols as the few bins that context models tell apart, of a width that suits the symbol's table.

    symbol ┬ in one of 2K + 1 bins around 0 ── bin 0..2K ┬ of one symbol: that is all
           │                                             └ of several: which of them, by the table
           └ beyond them all ── bin 2K + 1, the escape ─── how far beyond, Exp-Golomb

Nearly all tables expect symbols within -K..K, and have bins of one symbol. Those of the wide ones are so wide that
they hold what the table expects: a symbol that is coded by its bin as the table says, and then within it, takes the
bits that the table alone would take.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables, code_escaped
from hific.context.causal_context import UNIT
from hific.errors import CorruptedError

# Of a table's 2**16, at most this much lies beyond its bins; escapes take a bit or two more than tables would.
MOST_BEYOND = TOTAL >> 8
# Symbols in a bin, at most. It bounds what is allocated for a table that a damaged checkpoint has put far from 0.
MAX_BIN_WIDTH = 127
LARGEST_LIMIT = 1 << 7
# Entries of all wide tables' bins together.
MAX_WITHIN = 1 << 22
# A table that gives 0 at least this share of its mass codes its symbols alone.
SURE = 0.99


@dataclass(frozen=True)
class SymbolBins:
    """largest: K; max_bin_width: symbols in a bin, at most: 1 to `MAX_BIN_WIDTH`, odd. With 1, wide tables escape all
    that lies beyond -K..K. ValueError for others.
    """

    tables: SymbolTables
    largest: int
    max_bin_width: int = MAX_BIN_WIDTH

    def __post_init__(self) -> None:
        check_bins(self.largest, self.max_bin_width)
        if self.escape * int(self.widths[self._wide].sum(dtype=np.int64)) > MAX_WITHIN:
            raise ValueError(f"symbol bins: {len(self._wide)} tables are so wide that their bins take too much memory")

    @property
    def escape(self) -> int:
        return 2 * self.largest + 1

    @cached_property
    def widths(self) -> Ints:
        """Symbols in a bin, int32 [T], odd."""
        needed = np.array([self._reach(index) for index in range(len(self.tables))], np.int64)
        halves = np.maximum(0, -(-(needed - self.largest) // self.escape))
        return np.minimum(2 * halves + 1, self.max_bin_width).astype(np.int32)

    def of(self, symbols: NDArray[np.integer], table_ids: NDArray[np.integer]) -> Ints:
        """The bins 0..2K+1 of symbols and their tables, of one shape."""
        widths = self.widths[table_ids].astype(np.int64)  # narrow symbols have no room for -(-128), nor for 2K + 1
        bins = (symbols + widths // 2) // widths
        return np.where(np.abs(bins) <= self.largest, bins + self.largest, self.escape).astype(np.int32)

    @cached_property
    def frequencies(self) -> Ints:
        """What the tables say of the bins, int32 [T, 2K + 2], each row positive with a sum of 2**16."""
        frequencies = np.ones((len(self.tables), self.escape + 1), np.int32)
        for index, row in enumerate(frequencies):
            table, values = self.tables.table(index), self.tables.values(index)
            masses = np.bincount(self.of(values, np.full_like(values, index)), table[:-1], minlength=len(row))
            masses[self.escape] += table[-1]
            row[:] = np.maximum(1, masses)
            row[row.argmax()] += TOTAL - row.sum()
        return frequencies

    def code_rest(self, coder: RangeCoder, symbols: Ints, bins: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """Codes symbols [n] of known bins [n], either way; returns them. A decoder takes only their count, and
        raises CorruptedError for what no encoder writes.
        """
        widths = self.widths[table_ids]
        decoded = (bins - self.largest) * widths
        within, beyond = np.flatnonzero((widths > 1) & (bins != self.escape)), bins == self.escape
        if len(within):
            known, tables = bins[within], table_ids[within]
            bins_of_wide = np.searchsorted(self._wide, tables) * self.escape + known
            decoded[within] = self._tables_within.code(coder, symbols[within], bins_of_wide)
            if (self.of(decoded[within], tables) != known).any():
                raise CorruptedError("the coded stream holds a symbol outside of its bin")
        if beyond.any():
            starts = -self.largest * widths[beyond] - widths[beyond] // 2
            decoded[beyond] = code_escaped(coder, symbols[beyond], starts, self.escape * widths[beyond])
        return decoded

    @cached_property
    def _wide(self) -> NDArray[np.intp]:
        """Tables whose bins hold more than one symbol."""
        return np.flatnonzero(self.widths > 1)

    @cached_property
    def _tables_within(self) -> SymbolTables:
        """Of each bin of each of the wide tables, its part of the table; never an escape."""
        widths = self.widths[self._wide].astype(np.int64)
        starts = -self.largest * widths - widths // 2
        rows = []
        for index, start, width in zip(self._wide.tolist(), starts.tolist(), widths.tolist(), strict=True):
            table, values = self.tables.table(index), self.tables.values(index)
            counts = np.zeros(self.escape * width, np.int64)
            places = values - start
            inside = (places >= 0) & (places < len(counts))
            counts[places[inside]] = table[:-1][inside]
            with_escapes = np.pad(counts.reshape(self.escape, width), ((0, 0), (0, 1)))
            rows.append(normalize_counts(with_escapes).ravel())
        offsets = starts[:, None] + widths[:, None] * np.arange(self.escape)
        sizes = np.repeat(widths, self.escape)
        return SymbolTables(offsets.ravel().astype(np.int32), sizes.astype(np.int32), np.concatenate(rows))

    def _reach(self, index: int) -> int:
        """The smallest magnitude beyond which a table expects at most `MOST_BEYOND`, or its own last."""
        table, values = self.tables.table(index), self.tables.values(index)
        order = np.argsort(np.abs(values), kind="stable")
        beyond = TOTAL - np.cumsum(table[order])
        enough = min(int(np.searchsorted(-beyond, -MOST_BEYOND)), len(order) - 1)
        return abs(int(values[order[enough]]))


def check_bins(largest: int, max_bin_width: int) -> None:
    """Raises ValueError for what `SymbolBins` is not made of."""
    if not 1 <= largest <= LARGEST_LIMIT or not 1 <= max_bin_width <= MAX_BIN_WIDTH or max_bin_width % 2 == 0:
        raise ValueError(
            f"symbol bins: largest={largest} is 1..{LARGEST_LIMIT}, max_bin_width={max_bin_width} odd and "
            f"1..{MAX_BIN_WIDTH}"
        )


def skip_mask(tables: SymbolTables) -> NDArray[np.bool_]:
    """bool [T]: those so sure of 0 that their symbols skip the context model."""
    return np.array([_frequency_of(tables, index, 0) >= SURE * TOTAL for index in range(len(tables))])


def expected_magnitudes(tables: SymbolTables) -> NDArray[np.int64]:
    """Mean |symbol| of each table, in 1/64, int64 [T]; escapes count as the first value beyond."""
    expected = np.empty(len(tables), np.int64)
    for index in range(len(tables)):
        values = tables.values(index)
        magnitudes = np.abs(np.append(values, values[-1] + 1))
        expected[index] = (magnitudes * tables.table(index)).sum() * UNIT // TOTAL
    return expected


def _frequency_of(tables: SymbolTables, index: int, value: int) -> int:
    place = value - int(tables.offsets[index])
    return int(tables.table(index)[place]) if 0 <= place < int(tables.sizes[index]) else 0
