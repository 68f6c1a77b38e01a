"""Tables of any sizes that code every int32: likely values have an entry each, all others follow an escape.

    values [n], table_ids [n] ─ sorted by table ─ entries ─ coder.code_runs ─┐
                                     └─ where no entry fits ─ Exp-Golomb ────┴─ one stream: all entries, all escapes

An escaped value is sent as how far it lies beyond the table, 0 being the next value, and on which side:
number = 2 * distance + (1 below the table, 0 above it).

Exp-Golomb codes of order 0 are plain bits within the range coder's stream.

number + 1 in binary, of which all below its leading one, `length` bits, are sent:

    number   0   1   2   3 ..
    length   0   1   1   2           sent first, in unary: `length` ones, and a zero (left out at MAX_LENGTH)
    bits     -   0   1   00 01 ..    then the bits, the highest first

All numbers go side by side: the first unary digit of each, the second of each that has one, and so on; so do the bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints, RangeCoder
from hific.errors import CorruptedError

MAX_LENGTH = 32
MAX_NUMBER = (1 << MAX_LENGTH + 1) - 2


def code_exp_golomb(coder: RangeCoder, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes numbers int64 [n] of 0..MAX_NUMBER, either way; returns them. A decoder takes only their count.

    Whatever a decoder reads, it asks for at most 2 * MAX_LENGTH bits a number, at most n of them at a time.
    """
    ahead = numbers + 1
    # Exact: below 2**53.
    lengths = np.frexp(ahead.astype(np.float64))[1] - 1
    coded_lengths = np.zeros(len(numbers), np.int32)
    members = np.arange(len(numbers))
    for length in range(MAX_LENGTH):
        if not len(members):
            break
        members = members[coder.code_bits((lengths[members] > length).astype(np.int32)) == 1]
        coded_lengths[members] += 1
    coded = np.ones(len(numbers), np.int64)
    for place in range(int(coded_lengths.max(initial=0)) - 1, -1, -1):
        members = np.flatnonzero(coded_lengths > place)
        bits = coder.code_bits((ahead[members] >> place & 1).astype(np.int32))
        coded[members] = 2 * coded[members] + bits
    return coded - 1


_INT32 = np.iinfo(np.int32)
# Of what a checkpoint may ask for: one goes through them when it is loaded.
MAX_TABLES, MAX_ENTRIES = 1 << 14, 1 << 20


@dataclass(frozen=True)
class SymbolTables:
    """T tables, as a checkpoint keeps them. Raises ValueError for what cannot code.

    Table t has entries for the values offsets[t] .. offsets[t] + sizes[t] - 1 and, as its last, the escape. The tables
    lie one behind another in `frequencies`. offsets, sizes: int32 [T]; frequencies: int32 [sum of sizes + T], positive,
    each table's sum 2**16.
    """

    offsets: Ints
    sizes: Ints
    frequencies: Ints

    def __post_init__(self) -> None:
        arrays = (self.offsets, self.sizes, self.frequencies)
        if any(array.dtype != np.int32 or array.ndim != 1 for array in arrays):
            raise ValueError("symbol tables: rows of int32 are due")
        if len(self.sizes) > MAX_TABLES or len(self.frequencies) > MAX_ENTRIES:
            raise ValueError(f"symbol tables: {len(self.sizes)} of them, {len(self.frequencies)} entries: too many")
        if not 0 < len(self.sizes) == len(self.offsets) or self.sizes.min() < 1 or self.sizes.max() >= TOTAL:
            raise ValueError("symbol tables: each has an offset and 1 to 2**16 - 1 values")
        ends = np.cumsum(self.sizes.astype(np.int64) + 1)
        if len(self.frequencies) != ends[-1] or self.frequencies.min() < 1:
            raise ValueError("symbol tables: each value and each escape has a positive frequency")
        if (np.add.reduceat(self.frequencies, ends - self.sizes - 1, dtype=np.int64) != TOTAL).any():
            raise ValueError("symbol tables: a table does not sum to 2**16")
        if (self.offsets.astype(np.int64) + self.sizes > _INT32.max).any():
            raise ValueError("symbol tables: a table reaches beyond int32")

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64], first: int) -> SymbolTables:
        """counts int64 [T, n]: how often each of the values first .. first + n - 1 occurred, by table."""
        num_tables, num_values = counts.shape
        # The escape, which nothing uses, takes one of 2**16.
        frequencies = normalize_counts(np.append(counts, np.zeros((num_tables, 1), np.int64), axis=1))
        offsets, sizes = (np.full(num_tables, number, np.int32) for number in (first, num_values))
        return cls(offsets, sizes, frequencies.ravel())

    def __len__(self) -> int:
        return len(self.sizes)

    def state(self) -> dict[str, Ints]:
        """Plain int32 arrays for a checkpoint."""
        return {"offsets": self.offsets, "sizes": self.sizes, "frequencies": self.frequencies}

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.integer]]) -> SymbolTables:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        return cls(*(np.asarray(state[name]) for name in cls.__dataclass_fields__))

    @cached_property
    def least_bits(self) -> NDArray[np.float64]:
        """What a symbol of each table takes at least, float64 [T]."""
        largest = np.maximum.reduceat(self.frequencies, self._ends - self.sizes - 1)
        bits: NDArray[np.float64] = -np.log2(largest / TOTAL)
        return bits

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Where each table's entries end."""
        return np.cumsum(self.sizes.astype(np.int64) + 1)

    def table(self, index: int) -> Ints:
        """Table `index`'s frequencies int32 [size + 1], a view; the last is the escape's."""
        end = int(self._ends[index])
        return self.frequencies[end - int(self.sizes[index]) - 1 : end]

    def values(self, index: int) -> NDArray[np.int64]:
        """What table `index` has entries for, int64 [size]."""
        return np.arange(self.sizes[index], dtype=np.int64) + int(self.offsets[index])

    def code(self, coder: RangeCoder, values: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """Codes values int32 [n], value i by table table_ids[i], either way; returns them. A decoder takes only their
        count.

        Raises ValueError for other types and table ids outside of 0..T-1; from a decoder, CorruptedError for what no
        encoder writes.
        """
        self._check(values, table_ids)
        # numpy sorts 8 and 16 bits by radix, several times faster.
        keys = table_ids.astype(np.uint8 if len(self) <= 1 << 8 else np.uint16 if len(self) <= 1 << 16 else np.int64)
        order = np.argsort(keys, kind="stable")
        run_lengths = np.bincount(table_ids, minlength=len(self)).astype(np.int32)
        offsets, sizes = np.repeat(self.offsets, run_lengths), np.repeat(self.sizes, run_lengths)
        ordered = values[order]
        # Modulo 2**32 a value below its table is one far above it, so that this sends both to the escape, entry `size`.
        entries = np.minimum((ordered - offsets).view(np.uint32), sizes.view(np.uint32)).view(np.int32)
        coded = coder.code_runs(entries, run_lengths, self.frequencies, self.sizes + 1)
        escaped = np.flatnonzero(coded == sizes)
        decoded = np.empty_like(values)
        decoded[order] = coded + offsets
        decoded[order[escaped]] = code_escaped(coder, ordered[escaped], offsets[escaped], sizes[escaped])
        return decoded

    def _check(self, values: Ints, table_ids: NDArray[np.integer]) -> None:
        if values.dtype != np.int32 or values.ndim != 1 or table_ids.shape != values.shape:
            raise ValueError(f"a row of int32 and as many table ids are due, not {values.dtype} {values.shape}")
        if len(table_ids) and not 0 <= int(table_ids.min()) <= int(table_ids.max()) < len(self):
            raise ValueError(f"table ids lie in 0..{len(self) - 1}, not {table_ids.min()}..{table_ids.max()}")


def code_escaped(coder: RangeCoder, values: Ints, offsets: Ints, sizes: Ints) -> Ints:
    """Values int32 [n] beyond the tables that start at `offsets`."""
    starts = offsets.astype(np.int64)
    ends = starts + sizes
    below = values < offsets
    distances = np.where(below, starts - 1 - values, values - ends)
    coded = code_exp_golomb(coder, 2 * distances + below)
    decoded = np.where(coded & 1, starts - 1 - (coded >> 1), ends + (coded >> 1))
    if len(decoded) and not _INT32.min <= int(decoded.min()) <= int(decoded.max()) <= _INT32.max:
        raise CorruptedError("the coded stream holds a value beyond 32 bits")
    return decoded.astype(np.int32)
