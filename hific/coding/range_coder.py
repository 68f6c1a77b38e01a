"""Symbols to bytes and back by range coding. The only file that knows `constriction`.

`RangeEncoder` and `RangeDecoder` have the same methods, so that one traversal of the data serves both directions:

    coded = coder.code(symbols, frequencies)

The encoder writes `symbols` and returns them; the decoder looks at nothing of `symbols` but its length, and returns
what it reads.

How integer frequencies reach the library exactly: constriction takes float64 probabilities p and, with `perfect=False`,
works with floor((p_0 + .. + p_(i-1)) * (2**24 - K)) + i as the cumulative of symbol i. With p = frequency / 2**16 the
sums and the product are exact in float64, so the library's table is a function of our integers only. `tests/golden/`
pins the resulting bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.errors import CorruptedError, TruncatedError

Ints = NDArray[np.int32]

_WORD_BYTES = 4
_WORD_BITS = 32
_STATE_BITS = 64
_Categorical = constriction.stream.model.Categorical
# Split exactly in half, at 2**23 of 2**24.
_BIT = _Categorical(np.array([0.5, 0.5]), perfect=False)
# How many symbols a decoder reads before it looks whether it is past the end of its stream.
_AT_ONCE = 1 << 14
# A symbol of probability p takes at least this much of -log2(p) bits, the library's rounding of p included; of a whole
# stream, the coder's state may leave 64 bits unwritten.
_LEAST_SHARE, _UNWRITTEN_BITS = 0.98, _STATE_BITS


class RangeCoder(Protocol):
    """Either direction, as a traversal sees it."""

    def code(self, symbols: Ints, frequencies: Ints) -> Ints: ...

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints: ...

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints: ...

    def code_bits(self, bits: Ints) -> Ints: ...


class RangeEncoder:
    """Writes symbols to one stream."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        """Codes symbols int32 [n], each by its row of frequencies int32 [n, K]; returns them.

        Raises ValueError where a symbol is outside of 0..K-1, or a row not as of `normalize_counts`.
        """
        symbols = _checked_symbols(symbols, frequencies)
        self._encoder.encode(symbols, _Categorical(perfect=False), _probabilities(frequencies))
        return symbols

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        """Codes symbols int32 [n], symbol i by tables[table_ids[i]] of tables int32 [T, K]; returns them.

        Quicker than `code` for many symbols and few tables. The stream holds the symbols sorted by table.
        """
        symbols = _checked_symbols(symbols, tables, table_ids)
        probabilities = _probabilities(tables)
        for table, members in _groups(table_ids, len(tables)):
            model = _Categorical(probabilities[table], perfect=False)
            self.write(np.ascontiguousarray(symbols[members]), model)
        return symbols

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints:
        """Codes symbols int32 [n] by T tables of any sizes; returns them.

        The first run_lengths[0] symbols are coded by table 0, the next run_lengths[1] by table 1, and so on; the tables
        lie one behind another in `frequencies`, table_sizes[t] entries each. Raises ValueError as `code` does.
        """
        _check_runs(len(symbols), run_lengths, table_sizes)
        symbols = np.ascontiguousarray(symbols, np.int32)
        if len(symbols) and (symbols.min() < 0 or (symbols >= np.repeat(table_sizes, run_lengths)).any()):
            raise ValueError("symbols lie in 0..K-1, K being the size of the table of their run")
        for run, model in _runs(run_lengths, frequencies, table_sizes):
            self.write(symbols[run], model)
        return symbols

    def code_bits(self, bits: Ints) -> Ints:
        """Codes bits int32 [n] of 0 and 1, at one bit each; returns them. Raises ValueError for other numbers."""
        if len(bits) and not 0 <= int(bits.min()) <= int(bits.max()) <= 1:
            raise ValueError(f"bits are 0 or 1, not {bits.min()}..{bits.max()}")
        self.write(np.ascontiguousarray(bits, np.int32), _BIT)
        return bits

    def write(self, symbols: Ints, model: object) -> None:
        """Symbols int32 [n] by one model of the library."""
        self._encoder.encode(symbols, model)

    @property
    def num_settled_bytes(self) -> int:
        """Of the stream, whatever else will be coded: at most as many as `get_bytes` has."""
        return _WORD_BYTES * int(self._encoder.pos()[0])

    def get_bytes(self) -> bytes:
        """The stream so far: the shortest bytes that, continued by zeros without end, lie in the final interval.

        The library's own flush ends on a 32-bit word; this one ends on a byte, 2 bytes earlier on average. Safe because
        the decoder reads zeros beyond the end, and every point of the final interval decodes to the same symbols.
        """
        position, (lower, width) = self._encoder.pos()
        prefix = _to_bytes(self._encoder.get_compressed()[:position])
        # The library has settled pending carries in `prefix` for the point that it would write, lower + 2**32 - 1.
        offset = (1 << _STATE_BITS - _WORD_BITS) - 1
        low = (int.from_bytes(prefix, "big") << _STATE_BITS | (lower + offset) % (1 << _STATE_BITS)) - offset
        # The width is at least 2**32, so that dropping 32 bits always does.
        dropped = next(bits for bits in range(_STATE_BITS, 0, -8) if -(-low >> bits) << bits < low + width)
        return (-(-low >> dropped)).to_bytes(len(prefix) + (_STATE_BITS - dropped) // 8, "big")


class RangeDecoder:
    """Reads symbols from a stream; the caller codes with the tables of the encoder, in its order, then calls `finish`.

    Any bytes decode to some symbols or raise CorruptedError, or TruncatedError soon after the stream's end: however
    many symbols are asked for, the work is bounded by the bytes. What is decoded is encoded again on the side (a few ns
    per symbol): `finish` accepts exactly the streams that `RangeEncoder` writes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._decoder = constriction.stream.queue.RangeDecoder(_to_words(self._data))
        self._echo = RangeEncoder()

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        """Returns symbols int32 [n]; see `RangeEncoder.code`. Of `symbols` only the length counts."""
        if len(symbols) != len(frequencies):
            raise ValueError(f"{len(symbols)} symbols but {len(frequencies)} rows of frequencies")
        decoded = np.empty(len(symbols), np.int32)
        for part in _parts(len(symbols)):
            rows = frequencies[part]
            read = self._decode(_Categorical(perfect=False), _probabilities(rows))
            decoded[part] = self._echo.code(read, rows)
            self._check_end()
        return decoded

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        """Returns symbols int32 [n]; see `RangeEncoder.code_grouped`. Of `symbols` only the length counts."""
        decoded = np.zeros(len(symbols), np.int32)
        _checked_symbols(decoded, tables, table_ids)
        probabilities = _probabilities(tables)
        for table, members in _groups(table_ids, len(tables)):
            model = _Categorical(probabilities[table], perfect=False)
            decoded[members] = self._read(model, len(decoded[members]))
        return decoded

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints:
        """Returns symbols int32 [n]; see `RangeEncoder.code_runs`. Of `symbols` only the length counts."""
        _check_runs(len(symbols), run_lengths, table_sizes)
        decoded = np.empty(len(symbols), np.int32)
        for run, model in _runs(run_lengths, frequencies, table_sizes):
            decoded[run] = self._read(model, run.stop - run.start)
        return decoded

    def code_bits(self, bits: Ints) -> Ints:
        """Returns bits int32 [n]; see `RangeEncoder.code_bits`. Of `bits` only the length counts."""
        return self._read(_BIT, len(bits))

    def finish(self) -> None:
        """Raises TruncatedError or CorruptedError unless the stream holds what was decoded, no byte less or more."""
        expected = self._echo.get_bytes()
        if len(self._data) < len(expected):
            raise TruncatedError(f"the coded stream has {len(self._data)} bytes, its symbols take {len(expected)}")
        if self._data != expected:
            raise CorruptedError("the coded stream is not one that the encoder writes")

    def _read(self, model: object, count: int) -> Ints:
        """`count` symbols of one model."""
        decoded = np.empty(count, np.int32)
        for part in _parts(count):
            decoded[part] = self._decode(model, part.stop - part.start)
            self._echo.write(decoded[part], model)
            self._check_end()
        return decoded

    def _check_end(self) -> None:
        # All words that the encoder has settled are in its stream, whatever follows.
        if self._echo.num_settled_bytes > len(self._data):
            raise TruncatedError(f"the coded stream has {len(self._data)} bytes, its symbols take more")

    def _decode(self, model: object, parameters: object) -> Ints:
        try:
            return np.asarray(self._decoder.decode(model, parameters), np.int32)
        except AssertionError as error:  # constriction's answer to a point outside of every symbol's interval
            raise CorruptedError("the coded stream holds a value that no symbol has") from error


def check_length(num_bytes: int, least_bits: float) -> None:
    """Raises TruncatedError where symbols of `least_bits`, the sum of -log2 of each one's largest probability, cannot
    be in a stream of `num_bytes`: before anything is allocated for them."""
    if least_bits * _LEAST_SHARE > 8 * num_bytes + _UNWRITTEN_BITS:
        raise TruncatedError(
            f"the coded stream has {num_bytes} bytes, an image of this size takes {int(least_bits / 8)} or more"
        )


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _AT_ONCE):
        yield slice(start, min(count, start + _AT_ONCE))


def _groups(table_ids: Ints, num_tables: int) -> list[tuple[int, slice | NDArray[np.intp]]]:
    """(table, where its symbols are) for each table that is used, by rising table."""
    if num_tables == 1:
        return [(0, slice(None))] if len(table_ids) else []
    counts = np.bincount(table_ids, minlength=num_tables)
    # 16-bit keys take numpy's radix sort, several times faster.
    keys = table_ids.astype(np.uint16) if num_tables <= 1 << 16 else table_ids
    order = np.argsort(keys, kind="stable")
    ends = np.cumsum(counts)
    return [(int(table), order[ends[table] - counts[table] : ends[table]]) for table in np.flatnonzero(counts)]


def _runs(run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Iterator[tuple[slice, object]]:
    """(where its symbols are, its table as the library wants it) for each run that is not empty."""
    table_ends, run_ends = np.cumsum(table_sizes), np.cumsum(run_lengths)
    if len(frequencies) != (table_ends[-1] if len(table_ends) else 0):
        raise ValueError(f"{len(frequencies)} frequencies do not fill tables of {table_sizes.sum()}")
    if len(table_ends):
        sums = np.add.reduceat(frequencies, table_ends - table_sizes, dtype=np.int64)
        _check_frequencies(frequencies, sums)
    probabilities = frequencies / TOTAL
    for table in np.flatnonzero(run_lengths).tolist():
        run = slice(int(run_ends[table] - run_lengths[table]), int(run_ends[table]))
        row = slice(int(table_ends[table] - table_sizes[table]), int(table_ends[table]))
        yield run, _Categorical(probabilities[row], perfect=False)


def _check_runs(num_symbols: int, run_lengths: Ints, table_sizes: Ints) -> None:
    if run_lengths.shape != table_sizes.shape or (run_lengths < 0).any() or run_lengths.sum() != num_symbols:
        raise ValueError(f"{num_symbols} symbols are not what the runs of {table_sizes.shape} tables hold together")
    if (table_sizes < 2).any():
        raise ValueError("a table has two entries or more")


def _checked_symbols(symbols: Ints, tables: Ints, table_ids: Ints | None = None) -> Ints:
    rows = len(tables) if table_ids is None else len(table_ids)
    if symbols.ndim != 1 or tables.ndim != 2 or len(symbols) != rows:
        raise ValueError(f"symbols {symbols.shape} do not fit {rows} table rows or ids, tables {tables.shape}")
    if table_ids is not None and rows and not 0 <= int(table_ids.min()) <= int(table_ids.max()) < len(tables):
        raise ValueError(f"table ids lie in 0..{len(tables) - 1}, not {table_ids.min()}..{table_ids.max()}")
    if rows and not 0 <= int(symbols.min()) <= int(symbols.max()) < tables.shape[1]:
        raise ValueError(f"symbols lie in 0..{tables.shape[1] - 1}, not {symbols.min()}..{symbols.max()}")
    return np.ascontiguousarray(symbols, np.int32)


def _probabilities(frequencies: Ints) -> NDArray[np.float64]:
    if frequencies.ndim != 2 or frequencies.shape[1] < 2:
        raise ValueError(f"frequencies are [n, K] with K >= 2, not {frequencies.shape}")
    _check_frequencies(frequencies, frequencies.sum(axis=1))
    return np.ascontiguousarray(frequencies, np.float64) / TOTAL


def _check_frequencies(frequencies: Ints, sums: NDArray[np.integer]) -> None:
    if frequencies.size and (frequencies.min() < 1 or (sums != TOTAL).any()):
        raise ValueError(f"each row of frequencies is positive and sums to {TOTAL}: make them with normalize_counts")


def _to_bytes(words: NDArray[np.uint32]) -> bytes:
    """Big endian, so that cutting bytes off the end cuts the least significant ones."""
    return words.astype(">u4").tobytes()


def _to_words(data: bytes) -> NDArray[np.uint32]:
    padded = data + bytes(-len(data) % _WORD_BYTES)
    return np.frombuffer(padded, ">u4").astype(np.uint32)
