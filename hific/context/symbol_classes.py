"""Symbols as classes: -K..K have one each, all others share the last, the escape.

Margins are logarithms of probabilities as integers, in 1/1024; from margins to frequencies goes a table of integers, so
that no machine's logarithm or exponential has a say in what is coded.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.coding.symbol_tables import SymbolTables

MARGIN_UNIT = 1024
# Of a sum of margins; float32 holds multiples of 1/1024 below it exactly, whatever the order of summation.
MARGIN_LIMIT = 1 << 13

_EXP_BITS = 30
_LOW_BITS = 7
# e**-21 of 2**30 is nothing.
_LARGEST_GAP = 21 * MARGIN_UNIT - 1

Ints = NDArray[np.int32]


def classes_of(symbols: NDArray[np.integer], largest: int) -> Ints:
    """Symbols of any shape to classes 0..2K+1."""
    wide = symbols.astype(np.int64)  # narrow ones have no room for -(-128), nor for 2K + 1
    return np.where((-largest <= wide) & (wide <= largest), wide + largest, 2 * largest + 1).astype(np.int32)


def class_frequencies(tables: SymbolTables, largest: int) -> Ints:
    """The tables' frequencies of the classes, int32 [T, 2K + 2], each row positive with a sum of 2**16."""
    frequencies = np.ones((len(tables), 2 * largest + 2), np.int32)
    for index, row in enumerate(frequencies):
        table, offset = tables.table(index), int(tables.offsets[index])
        values = np.arange(offset, offset + len(table) - 1)
        inside = np.abs(values) <= largest
        row[values[inside] + largest] = table[:-1][inside]
        row[-1] = max(1, int(table[:-1][~inside].sum()) + int(table[-1]))
        row[row.argmax()] += TOTAL - row.sum()
    return frequencies


def margins_of(frequencies: Ints) -> NDArray[np.int16]:
    """round(1024 ln p), in floating point: made once, when a predictor is fitted, and stored."""
    return np.rint(np.log(frequencies / TOTAL) * MARGIN_UNIT).astype(np.int16)


def frequencies_of(margins: Ints) -> Ints:
    """Margins int32 [n, K'] in 1/1024 to frequencies int32 [n, K'], each row positive with a sum of 2**16.

    exp of the distance to the row's largest; what rounding leaves goes to the first of the largest.
    """
    gaps = np.minimum(margins.max(axis=1, keepdims=True) - margins, _LARGEST_GAP)
    high, low = _exponentials()
    weights = high[gaps >> _LOW_BITS] * low[gaps & (1 << _LOW_BITS) - 1] >> _EXP_BITS
    shared = TOTAL - margins.shape[1]
    frequencies = weights * shared // weights.sum(axis=1, keepdims=True) + 1
    rows = np.arange(len(margins))
    frequencies[rows, margins.argmax(axis=1)] += TOTAL - frequencies.sum(axis=1)
    return frequencies.astype(np.int32)


@cache
def _exponentials() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """exp(-128 i / 1024) and exp(-j / 1024), in 2**-30; decimal's are correctly rounded everywhere."""
    steps = (1 << _LOW_BITS, 1)
    counts = (_LARGEST_GAP // (1 << _LOW_BITS) + 1, 1 << _LOW_BITS)
    tables = [
        [int((Decimal(-step * index) / MARGIN_UNIT).exp() * (1 << _EXP_BITS)) for index in range(count)]
        for step, count in zip(steps, counts, strict=True)
    ]
    return np.array(tables[0], np.int64), np.array(tables[1], np.int64)
