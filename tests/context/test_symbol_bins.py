"""Laws of symbols as bins: what they hold, what they cost, what comes back."""

from __future__ import annotations

import numpy as np
import pytest
from context_cases import RecordingCoder, laplace_tables
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hific.coding.frequency_table import TOTAL
from hific.coding.range_coder import Ints, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.symbol_bins import MAX_BIN_WIDTH, MOST_BEYOND, SymbolBins
from hific.entropy.tables import latent_tables
from hific.errors import CorruptedError

TABLES = {"laplace": laplace_tables(), "gaussian": latent_tables()}
EACH_TABLE = pytest.mark.parametrize("tables", list(TABLES.values()), ids=list(TABLES))
EACH_LARGEST = pytest.mark.parametrize("largest", [1, 2, 8, 128])


def mass_beyond(tables: SymbolTables, index: int, reach: int) -> int:
    """Of 2**16, what a table expects farther than `reach` from 0, its escape included."""
    table, offset = tables.table(index), int(tables.offsets[index])
    return TOTAL - sum(
        int(table[value - offset]) for value in range(-reach, reach + 1) if 0 <= value - offset < len(table) - 1
    )


@EACH_LARGEST
@EACH_TABLE
def test_bins_are_just_wide_enough_for_what_their_table_expects(tables: SymbolTables, largest: int) -> None:
    widths = SymbolBins(tables, largest).widths
    assert widths.dtype == np.int32 and widths.shape == (len(tables),) and (widths % 2 == 1).all()
    for index, width in enumerate(widths.tolist()):
        if width < MAX_BIN_WIDTH:
            assert mass_beyond(tables, index, largest * width + width // 2) <= MOST_BEYOND
        if width > 1:
            assert mass_beyond(tables, index, largest * (width - 2) + (width - 2) // 2) > MOST_BEYOND


@EACH_LARGEST
@EACH_TABLE
def test_bin_frequencies_are_sums_of_the_tables(tables: SymbolTables, largest: int) -> None:
    bins = SymbolBins(tables, largest)
    frequencies = bins.frequencies
    assert frequencies.dtype == np.int32 and frequencies.shape == (len(tables), 2 * largest + 2)
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()
    for index in range(len(tables)):
        table, offset = tables.table(index), int(tables.offsets[index])
        expected = np.zeros(2 * largest + 2, int)
        for place, frequency in enumerate(table.tolist()):
            is_escape = place == len(table) - 1
            expected[-1 if is_escape else int(bins.of(np.array(offset + place), np.array(index)))] += frequency
        # Values without an entry get 1 each, from what was the likeliest.
        missing = np.abs(frequencies[index] - np.maximum(expected, 1))
        assert missing[expected.argmax()] <= (expected == 0).sum()
        missing[expected.argmax()] = 0
        assert not missing.any()


@given(arrays.arrays(np.int32, 50), st.integers(1, 128), st.integers(0, len(TABLES["gaussian"]) - 1))
def test_bins_are_intervals_and_an_escape(symbols: Ints, largest: int, index: int) -> None:
    bins = SymbolBins(TABLES["gaussian"], largest)
    width = int(bins.widths[index])
    last = largest * width + width // 2
    symbols[:4] = [last, -last, last + 1, -last - 1]
    symbols[4:6] = [-(2**31), 2**31 - 1]
    found = bins.of(symbols, np.full(len(symbols), index))
    assert found.dtype == np.int32
    for symbol, one in zip(symbols.tolist(), found.tolist(), strict=True):
        if abs(symbol) > last:
            assert one == bins.escape == 2 * largest + 1
        else:
            assert abs(symbol - (one - largest) * width) <= width // 2


def test_narrow_symbols_have_the_same_bins() -> None:
    symbols = np.array([-128, -127, -1, 0, 5, 127])
    for kind in (np.int8, np.int16):
        for largest in (1, 8, 128):
            for index in (0, 63):
                bins, ids = SymbolBins(TABLES["gaussian"], largest), np.full(len(symbols), index)
                np.testing.assert_array_equal(bins.of(symbols.astype(kind), ids), bins.of(symbols, ids))


@EACH_TABLE
@given(st.data(), st.integers(1, 128))
def test_the_rest_comes_back(tables: SymbolTables, data: st.DataObject, largest: int) -> None:
    magnitude = data.draw(st.sampled_from([3, 100, 2**31 - 1]))
    count = data.draw(st.integers(0, 40))
    symbols = data.draw(arrays.arrays(np.int32, count, elements=st.integers(-magnitude, magnitude)))
    ids = data.draw(arrays.arrays(np.int32, count, elements=st.integers(0, len(tables) - 1)))
    bins = SymbolBins(tables, largest)
    known = bins.of(symbols, ids)
    encoder = RangeEncoder()
    np.testing.assert_array_equal(bins.code_rest(encoder, symbols, known, ids), symbols)
    decoder = RangeDecoder(encoder.get_bytes())
    np.testing.assert_array_equal(bins.code_rest(decoder, np.zeros_like(symbols), known, ids), symbols)
    decoder.finish()


@pytest.mark.parametrize("largest", [2, 8])
def test_bin_and_rest_take_the_bits_of_the_table(largest: int) -> None:
    """Of symbols drawn by their tables, whatever the tables' scales."""
    tables = TABLES["gaussian"]
    rng = np.random.default_rng(0)
    bins = SymbolBins(tables, largest)
    ids = np.repeat(np.flatnonzero(bins.widths < MAX_BIN_WIDTH), 300).astype(np.int32)
    symbols = np.rint(np.geomspace(0.11, 256, 64)[ids] * rng.normal(size=len(ids))).astype(np.int32)
    alone, split = RecordingCoder(), RecordingCoder()
    tables.code(alone, symbols, ids)  # type: ignore[arg-type]
    known = split.code(bins.of(symbols, ids), bins.frequencies[ids])
    bins.code_rest(split, symbols, known, ids)  # type: ignore[arg-type]
    assert split.num_bits == pytest.approx(alone.num_bits, rel=2e-3)


def test_a_symbol_outside_of_its_bin_is_refused() -> None:
    """No encoder writes an escape within a bin."""
    bins = SymbolBins(TABLES["gaussian"], 8)
    ids, known = np.full(1, 63, np.int32), np.full(1, 8, np.int32)
    encoder = RangeEncoder()
    bins._tables_within.code(encoder, np.full(1, 1000, np.int32), np.full(1, len(bins._tables_within) - 9))
    with pytest.raises(CorruptedError, match="outside of its bin"):
        bins.code_rest(RangeDecoder(encoder.get_bytes()), np.zeros(1, np.int32), known, ids)


def test_a_table_far_from_zero_allocates_little() -> None:
    far = SymbolTables(np.array([1 << 30], np.int32), np.array([1], np.int32), np.array([TOTAL - 1, 1], np.int32))
    bins = SymbolBins(far, 8)
    assert bins.widths.tolist() == [MAX_BIN_WIDTH]
    symbols, ids = np.array([1 << 30], np.int32), np.zeros(1, np.int32)
    assert bins.of(symbols, ids).tolist() == [bins.escape]
    encoder = RangeEncoder()
    assert bins.code_rest(encoder, symbols, bins.of(symbols, ids), ids).tolist() == symbols.tolist()
