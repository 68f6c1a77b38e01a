"""Coders that look at no neighbor.

`fixed_length`: every symbol alike, the nominal rate of log2(levels) bits a symbol. `tables`: each symbol by the table
that its table id says; HiFiC's hyperprior, CompressNet's table a channel, side planes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.latent_coders.base import LatentCoderName

# Frequencies are integers of 2**16: with more levels they would be too uneven for the nominal rate.
MOST_LEVELS = TOTAL >> 6
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class FixedLengthCoder:
    """Codes the symbols first .. first + levels - 1, and no others: ValueError. levels: 2 to `MOST_LEVELS`."""

    first: int
    levels: int

    def __post_init__(self) -> None:
        if not 2 <= self.levels <= MOST_LEVELS or not _INT32.min <= self.first <= _INT32.max - self.levels:
            raise ValueError(f"fixed length: {self.levels} levels from {self.first}: 2 to {MOST_LEVELS}, in int32")

    name: ClassVar[LatentCoderName] = "fixed_length"
    label = name

    @property
    def least_bits(self) -> float:
        return float(-np.log2(self._frequencies.max() / TOTAL))

    def code(self, coder: RangeCoder, symbols: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """As `LatentCoder.code`; `table_ids` say nothing here. Whatever a decoder reads is one of the levels."""
        flat = symbols.ravel()
        # Modulo 2**32: what is outside stays outside, and the encoder refuses it.
        entries = flat - np.int32(self.first)
        coded = coder.code_grouped(entries, np.zeros(len(flat), np.int32), self._frequencies)
        return (coded + np.int32(self.first)).reshape(symbols.shape)

    @cached_property
    def _frequencies(self) -> Ints:
        return normalize_counts(np.ones((1, self.levels), np.int64))


@dataclass(frozen=True)
class TablesCoder:
    """The stream holds the symbols by rising table id, within one in the order [C, h, w]; then the escapes."""

    tables: SymbolTables

    name: ClassVar[LatentCoderName] = "tables"
    label = name

    @property
    def least_bits(self) -> float:
        return float(self.tables.least_bits.min())

    def code(self, coder: RangeCoder, symbols: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """As `LatentCoder.code`; any int32 codes."""
        if symbols.shape != table_ids.shape:
            raise ValueError(f"a latent {symbols.shape}, but table ids {table_ids.shape}")
        return self.tables.code(coder, symbols.ravel(), table_ids.ravel()).reshape(symbols.shape)
