"""Laws of ragged tables with escapes: every int32 comes back, every other stream is an error, sizes are the ideal."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import MAX_LENGTH, MAX_NUMBER, SymbolTables, code_exp_golomb
from hific.errors import BitstreamError, CorruptedError

INT32 = np.iinfo(np.int32)
EXTREMES = [INT32.min, INT32.min + 1, -1, 0, 1, INT32.max - 1, INT32.max]


def make_tables(offsets: list[int], sizes: list[int], seed: int = 0) -> SymbolTables:
    rng = np.random.default_rng(seed)
    rows = [normalize_counts((rng.random(size + 1) ** 5 * 2**40).astype(np.int64)) for size in sizes]
    return SymbolTables(np.array(offsets, np.int32), np.array(sizes, np.int32), np.concatenate(rows))


@st.composite
def messages(draw: st.DrawFn) -> tuple[SymbolTables, Ints, Ints]:
    """Tables anywhere in int32, also at its ends; values within, beside and far from them."""
    num_tables = draw(st.integers(1, 4))
    sizes = [draw(st.sampled_from([1, 2, 3, 9, 300])) for _ in range(num_tables)]
    offsets = [draw(st.integers(-20, 20) | st.sampled_from([INT32.min, INT32.max - size])) for size in sizes]
    tables = make_tables(offsets, sizes, draw(st.integers(0, 2**32)))
    values = draw(st.lists(st.integers(-30, 30) | st.sampled_from(EXTREMES) | st.integers(INT32.min, INT32.max)))
    table_ids = draw(st.lists(st.integers(0, num_tables - 1), min_size=len(values), max_size=len(values)))
    return tables, np.array(values, np.int32), np.array(table_ids, np.int32)


def encode(tables: SymbolTables, values: Ints, table_ids: Ints) -> bytes:
    encoder = RangeEncoder()
    np.testing.assert_array_equal(tables.code(encoder, values, table_ids), values)
    return encoder.get_bytes()


def decode(tables: SymbolTables, data: bytes, table_ids: Ints) -> Ints:
    decoder = RangeDecoder(data)
    # Not zeros: a decoder must not look at them.
    values = tables.code(decoder, np.full(len(table_ids), -7, np.int32), table_ids)
    decoder.finish()
    return values


@given(messages())
@settings(max_examples=50)
def test_decoding_returns_what_was_encoded(message: tuple[SymbolTables, Ints, Ints]) -> None:
    tables, values, table_ids = message
    decoded = decode(tables, encode(*message), table_ids)
    np.testing.assert_array_equal(decoded, values)
    assert decoded.dtype == np.int32


@pytest.mark.parametrize("offset", [INT32.min, -3, INT32.max - 5])
def test_the_ends_of_int32_are_codable_wherever_the_table_is(offset: int) -> None:
    tables = make_tables([offset], [5])
    values = np.array([*EXTREMES, offset, offset + 4, max(offset - 1, INT32.min), offset + 5], np.int32)
    ids = np.zeros(len(values), np.int32)
    np.testing.assert_array_equal(decode(tables, encode(tables, values, ids), ids), values)


@given(messages(), st.data())
@settings(max_examples=40)
def test_no_other_bytes_pass_for_the_same_values(message: tuple[SymbolTables, Ints, Ints], data: st.DataObject) -> None:
    tables, values, table_ids = message
    original = encode(*message)
    cut = original[: data.draw(st.integers(0, len(original)))]
    changed = bytearray(original)
    for place in data.draw(st.lists(st.integers(0, max(len(original) - 1, 0)), max_size=3 if original else 0)):
        changed[place] ^= data.draw(st.integers(1, 255))
    for other in {cut, original + data.draw(st.binary(min_size=1, max_size=5)), bytes(changed)} - {original}:
        try:
            decoded = decode(tables, other, table_ids)
        except BitstreamError:
            continue
        assert not np.array_equal(decoded, values)
        assert encode(tables, decoded, table_ids) == other


@given(messages(), st.binary(max_size=80))
@settings(max_examples=60)
def test_any_bytes_decode_to_what_encodes_to_them_or_raise(
    message: tuple[SymbolTables, Ints, Ints], data: bytes
) -> None:
    tables, _, table_ids = message
    try:
        decoded = decode(tables, data, table_ids)
    except BitstreamError:
        return
    assert encode(tables, decoded, table_ids) == data


@dataclass
class RecordingCoder:
    """Takes no bytes; says what it was asked for. As a decoder it reads `default`, always."""

    default: int | None = None
    entries: list[int] = field(default_factory=list)
    bits: list[list[int]] = field(default_factory=list)
    num_bits: float = 0.0

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints:
        coded = symbols if self.default is None else np.full_like(symbols, self.default)
        self.entries += coded.tolist()
        starts = np.repeat(np.cumsum(table_sizes) - table_sizes, run_lengths)
        self.num_bits -= np.log2(frequencies[starts + coded] / TOTAL).sum()
        return coded

    def code_bits(self, bits: Ints) -> Ints:
        coded = bits if self.default is None else np.full_like(bits, self.default)
        self.bits.append(coded.tolist())
        self.num_bits += len(bits)
        return coded


def test_values_are_grouped_by_table_and_escapes_follow() -> None:
    tables = make_tables([0, 10], [3, 2])
    values = np.array([10, 2, 99, 0, -5, 11], np.int32)
    coder = RecordingCoder()
    tables.code(coder, values, np.array([1, 0, 1, 0, 0, 1], np.int32))
    assert coder.entries == [2, 0, 3, 0, 2, 1]
    # -5 is the fifth below 0: 2 * 4 + 1 = 9; 99 the 88th above 11: 2 * 87 = 174. Lengths 3 and 7 in unary, then bits.
    assert coder.bits[:8] == [[1, 1], [1, 1], [1, 1], [0, 1], [1], [1], [1], [0]]
    assert coder.bits[8:] == [[0], [1], [0], [1], [0, 1], [1, 1], [0, 1]]


def test_a_stream_that_goes_on_with_ones_ends() -> None:
    coder = RecordingCoder(default=1)
    assert (code_exp_golomb(coder, np.zeros(10, np.int64)) == MAX_NUMBER).all()
    assert len(coder.bits) == 2 * MAX_LENGTH
    assert max(map(len, coder.bits)) == 10
    with pytest.raises(CorruptedError, match="32 bits"):
        # Entry 1 of a table of one value is its escape.
        make_tables([0], [1]).code(RecordingCoder(default=1), np.zeros(10, np.int32), np.zeros(10, np.int32))


@given(st.lists(st.integers(0, 40) | st.integers(0, MAX_NUMBER)))
@settings(max_examples=50)
def test_exp_golomb_round_trip_and_length(numbers: list[int]) -> None:
    array = np.array(numbers, np.int64)
    counter, encoder = RecordingCoder(), RangeEncoder()
    code_exp_golomb(counter, array)
    expected = sum(2 * ((number + 1).bit_length() - 1) + ((number + 1).bit_length() <= 32) for number in numbers)
    assert counter.num_bits == expected
    np.testing.assert_array_equal(code_exp_golomb(encoder, array), array)
    decoder = RangeDecoder(encoder.get_bytes())
    np.testing.assert_array_equal(code_exp_golomb(decoder, np.zeros_like(array)), array)
    decoder.finish()


def test_size_is_the_ideal_code_length() -> None:
    rng = np.random.default_rng(0)
    tables = make_tables([-4, 0, -1, -300], [9, 1, 2, 700])
    table_ids = rng.integers(0, 4, 60_000).astype(np.int32)
    values = np.rint(rng.laplace(0, 30, len(table_ids))).astype(np.int32)
    counter = RecordingCoder()
    tables.code(counter, values, table_ids)
    assert abs(8 * len(encode(tables, values, table_ids)) - counter.num_bits) < 0.001 * counter.num_bits + 8


def test_one_table_more_than_a_byte_counts() -> None:
    tables = make_tables([-1] * 300, [3] * 300)
    table_ids = np.arange(600, dtype=np.int32)[::-1] // 2
    values = (np.arange(600) % 5 - 2).astype(np.int32)
    np.testing.assert_array_equal(decode(tables, encode(tables, values, table_ids), table_ids), values)


def test_state_round_trip() -> None:
    tables = make_tables([-4, 7], [9, 2])
    restored = SymbolTables.from_state(tables.state())
    assert all(array.dtype == np.int32 for array in tables.state().values())
    for index, size in enumerate([9, 2]):
        np.testing.assert_array_equal(restored.table(index), tables.table(index))
        assert len(restored.table(index)) == size + 1
        assert restored.table(index).sum() == TOTAL


def _with(name: str, array: NDArray[np.integer]) -> dict[str, NDArray[np.integer]]:
    return {**make_tables([-4, 7], [9, 2]).state(), name: array}


@pytest.mark.parametrize(
    "state",
    [
        _with("offsets", np.array([-4], np.int32)),
        _with("offsets", np.array([-4, INT32.max], np.int32)),
        _with("sizes", np.array([9, 3], np.int32)),
        _with("sizes", np.array([2, 9], np.int32)),
        _with("sizes", np.array([11, 0], np.int32)),
        _with("sizes", np.array([12, -1], np.int32)),
        _with("sizes", np.array([INT32.max, INT32.max], np.int32)),
        _with("sizes", np.zeros(0, np.int32)),
        _with("frequencies", np.full(13, TOTAL // 13, np.int32)),
        _with("frequencies", np.array([*[0] * 9, TOTAL, 0, 0, TOTAL], np.int32)),
        _with("frequencies", np.ones((1, 13), np.int32)),
        _with("offsets", np.array([-4, 7], np.int64)),
        _with("offsets", np.array([-4.0, 7.0])),
    ],
)
def test_a_state_that_cannot_code_is_refused(state: dict[str, NDArray[np.integer]]) -> None:
    with pytest.raises(ValueError, match="symbol tables"):
        SymbolTables.from_state(state)


def test_what_cannot_be_coded_is_refused() -> None:
    tables = make_tables([0], [3])
    two = np.zeros(2, np.int32)
    for coder in (RangeEncoder(), RangeDecoder(b"")):
        with pytest.raises(ValueError, match="table ids lie"):
            tables.code(coder, two, np.array([0, 1], np.int32))
        with pytest.raises(ValueError, match="table ids lie"):
            tables.code(coder, two, np.array([0, -1], np.int32))
        with pytest.raises(ValueError, match="a row of int32"):
            tables.code(coder, two, two[:1])
        with pytest.raises(ValueError, match="a row of int32"):
            tables.code(coder, two.astype(np.int64), two)
    with pytest.raises(KeyError):
        SymbolTables.from_state({"sizes": two})
