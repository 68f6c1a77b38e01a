"""Laws of the range coder: round trip, exact arithmetic, size, and what it says to bytes that it did not write."""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints, RangeCoder, RangeDecoder, RangeEncoder
from hific.errors import BitstreamError, CorruptedError, TruncatedError

GOLDEN = Path(__file__).parents[1] / "golden" / "range_coder.json"

# (symbols [n], table ids [n], tables [T, K], whether they are coded grouped)
Part = tuple[Ints, Ints, Ints, bool]


@st.composite
def parts(draw: st.DrawFn) -> Part:
    """Tables from nearly certain to uniform; symbols drawn from them, so that both likely and unlikely ones occur."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_tables, num_symbols = draw(st.integers(1, 5)), draw(st.integers(2, 20))
    sharpness = draw(st.sampled_from([0, 1, 10, 200]))
    tables = normalize_counts((rng.random((num_tables, num_symbols)) ** sharpness * 2**40).astype(np.int64))
    table_ids = rng.integers(0, num_tables, draw(st.integers(0, 60))).astype(np.int32)
    likely = (rng.random((len(table_ids), 1)) * TOTAL >= tables[table_ids].cumsum(axis=1)).sum(axis=1)
    symbols = likely if draw(st.booleans()) else rng.integers(0, num_symbols, len(table_ids))
    return symbols.astype(np.int32), table_ids, tables, draw(st.booleans())


def code_parts(coder: RangeCoder, message: list[Part], *, blank: bool = False) -> list[Ints]:
    coded = []
    for symbols, table_ids, tables, grouped in message:
        source = np.full_like(symbols, -7) if blank else symbols
        if grouped:
            coded.append(coder.code_grouped(source, table_ids, tables))
        else:
            coded.append(coder.code(source, tables[table_ids]))
    return coded


def encode(message: list[Part]) -> bytes:
    encoder = RangeEncoder()
    code_parts(encoder, message)
    return encoder.get_bytes()


def reference_encode(symbols: list[int], frequencies: list[list[int]]) -> bytes:
    """Range coding in plain integers: 24-bit cumulatives, a width of 33 to 64 bits, the shortest bytes at the end."""
    low, width, num_words = 0, (1 << 64) - 1, 0
    for symbol, row in zip(symbols, frequencies, strict=True):
        free = (1 << 24) - len(row)
        sums = list(accumulate(row, initial=0))
        bounds = [total * free // TOTAL + index for index, total in enumerate(sums)]
        scale = width >> 24
        low += scale * bounds[symbol]
        width = scale * (bounds[symbol + 1] - bounds[symbol])
        if width < 1 << 32:
            low, width, num_words = low << 32, width << 32, num_words + 1
    num_bits = 32 * num_words + 64
    for num_bytes in range(4 * num_words, num_bits // 8 + 1):
        unit = 1 << num_bits - 8 * num_bytes
        point = -(-low // unit)
        if point * unit < low + width:
            return point.to_bytes(num_bytes, "big")
    raise AssertionError


@given(st.lists(parts(), max_size=4))
def test_decoding_returns_what_was_encoded(message: list[Part]) -> None:
    encoder = RangeEncoder()
    returned = code_parts(encoder, message)
    decoder = RangeDecoder(encoder.get_bytes())
    decoded = code_parts(decoder, message, blank=True)
    decoder.finish()
    for (symbols, *_), from_encoder, from_decoder in zip(message, returned, decoded, strict=True):
        np.testing.assert_array_equal(from_encoder, symbols)
        np.testing.assert_array_equal(from_decoder, symbols)
        assert from_decoder.dtype == np.int32


@given(parts())
def test_the_library_computes_exactly_what_plain_integers_do(part: Part) -> None:
    symbols, table_ids, tables, _ = part
    rows = tables[table_ids].tolist()
    assert encode([(symbols, table_ids, tables, False)]) == reference_encode(symbols.tolist(), rows)


def test_carries_are_settled_by_the_own_flush() -> None:
    """Always the last, nearly certain symbol: the low end runs up against the top of every word."""
    table = normalize_counts(np.array([[1, 1 << 40], [1 << 40, 1]]))
    for length in range(0, 3000, 29):
        symbols = np.ones(length, np.int32)
        symbols[-1:] = 0
        rows = table[np.zeros(length, np.int32)]
        encoder = RangeEncoder()
        encoder.code(symbols, rows)
        assert encoder.get_bytes() == reference_encode(symbols.tolist(), rows.tolist())


@given(parts())
def test_grouped_coding_is_coding_in_the_order_of_tables(part: Part) -> None:
    symbols, table_ids, tables, _ = part
    order = np.argsort(table_ids, kind="stable")
    grouped = encode([(symbols, table_ids, tables, True)])
    assert grouped == encode([(symbols[order], table_ids[order], tables, False)])


@given(st.lists(parts(), min_size=1, max_size=4))
def test_runs_are_coding_with_each_table_in_turn(message: list[Part]) -> None:
    """Tables of several sizes, and runs of no symbols: the same stream as each run by itself."""
    runs = [(symbols[table_ids == 0], tables[0]) for symbols, table_ids, tables, _ in message]
    apart, together = RangeEncoder(), RangeEncoder()
    for symbols, table in runs:
        apart.code(symbols, np.broadcast_to(table, (len(symbols), len(table))))
    symbols = np.concatenate([run for run, _ in runs])
    lengths, sizes = (np.array([len(run[i]) for run in runs], np.int32) for i in (0, 1))
    frequencies = np.concatenate([table for _, table in runs])
    np.testing.assert_array_equal(together.code_runs(symbols, lengths, frequencies, sizes), symbols)
    assert together.get_bytes() == apart.get_bytes()
    decoder = RangeDecoder(together.get_bytes())
    np.testing.assert_array_equal(decoder.code_runs(np.full_like(symbols, -7), lengths, frequencies, sizes), symbols)
    decoder.finish()


@given(st.lists(st.integers(0, 1)))
def test_bits_take_a_bit_each(bits: list[int]) -> None:
    array = np.array(bits, np.int32)
    one_by_one, encoder = RangeEncoder(), RangeEncoder()
    one_by_one.code(array, np.full((len(bits), 2), TOTAL // 2, np.int32))
    np.testing.assert_array_equal(encoder.code_bits(array), array)
    data = encoder.get_bytes()
    assert data == one_by_one.get_bytes()
    assert len(data) <= -(-len(bits) // 8)
    decoder = RangeDecoder(data)
    np.testing.assert_array_equal(decoder.code_bits(np.full_like(array, -7)), array)
    decoder.finish()
    for wrong in (array - 1, array + 1):
        if len(bits) and (wrong < 0).any() | (wrong > 1).any():
            with pytest.raises(ValueError, match="0 or 1"):
                encoder.code_bits(wrong)


def test_runs_that_do_not_fit_are_refused() -> None:
    two, three = np.array([2, 0], np.int32), np.array([2, 3], np.int32)
    frequencies = np.array([TOTAL // 2, TOTAL // 2, TOTAL // 2, TOTAL // 4, TOTAL // 4], np.int32)
    symbols = np.array([0, 1], np.int32)
    for coder in (RangeEncoder(), RangeDecoder(b"")):
        for lengths in (two + 1, two[:1], np.array([3, -1], np.int32)):
            with pytest.raises(ValueError, match="runs of"):
                coder.code_runs(symbols, lengths, frequencies, three)
        with pytest.raises(ValueError, match="do not fill"):
            coder.code_runs(symbols, two, frequencies[:4], three)
        with pytest.raises(ValueError, match="two entries"):
            coder.code_runs(symbols, two, frequencies, np.array([1, 4], np.int32))
        with pytest.raises(ValueError, match="sums to"):
            coder.code_runs(symbols, two, frequencies - 1, three)
    for wrong in (symbols - 1, symbols + 1):
        with pytest.raises(ValueError, match="symbols lie in"):
            RangeEncoder().code_runs(wrong, two, frequencies, three)


@pytest.mark.parametrize("num_symbols", [2, 5, 255])
@pytest.mark.parametrize("sharpness", [0, 1, 6])
def test_size_is_the_ideal_code_length(num_symbols: int, sharpness: int) -> None:
    rng = np.random.default_rng(num_symbols + sharpness)
    tables = normalize_counts((rng.random((16, num_symbols)) ** sharpness * 2**30).astype(np.int64))
    table_ids = rng.integers(0, 16, 50_000).astype(np.int32)
    uniform = rng.random((len(table_ids), 1)) * TOTAL
    symbols = (uniform >= tables[table_ids].cumsum(axis=1)).sum(axis=1).astype(np.int32)
    ideal_bytes = -np.log2(tables[table_ids, symbols] / TOTAL).sum() / 8
    for grouped in (False, True):
        assert abs(len(encode([(symbols, table_ids, tables, grouped)])) - ideal_bytes) < 0.001 * ideal_bytes + 8


def test_golden_bytes() -> None:
    """The library's conversion of probabilities is part of the format: an upgrade that changes it must not pass."""
    golden = json.loads(GOLDEN.read_text())
    symbols, table_ids = (np.array(golden[name], np.int32) for name in ("symbols", "table_ids"))
    tables = normalize_counts(np.array(golden["counts"]))
    assert encode([(symbols, table_ids, tables, False)]).hex() == golden["code"]
    assert encode([(symbols, table_ids, tables, True)]).hex() == golden["code_grouped"]


@given(parts(), st.data())
def test_no_other_bytes_pass_for_the_same_symbols(part: Part, data: st.DataObject) -> None:
    """Other bytes may be another message's (a checksum is the container's task), never this one's."""
    original = encode([part])
    longer = original + data.draw(st.binary(min_size=1, max_size=9))
    cut = original[: data.draw(st.integers(0, len(original)))]
    changed = bytearray(original)
    for place in data.draw(st.lists(st.integers(0, max(len(original) - 1, 0)), max_size=3 if original else 0)):
        changed[place] ^= data.draw(st.integers(1, 255))
    for other in {cut, longer, bytes(changed)} - {original}:
        decoder = RangeDecoder(other)
        try:
            decoded = code_parts(decoder, [part], blank=True)
            decoder.finish()
        except BitstreamError:
            continue
        assert not np.array_equal(decoded[0], part[0])


@given(parts())
def test_zeros_behind_the_stream_change_no_symbol(part: Part) -> None:
    data = encode([part])
    for num_zeros in range(1, 10):
        decoder = RangeDecoder(data + bytes(num_zeros))
        np.testing.assert_array_equal(code_parts(decoder, [part], blank=True)[0], part[0])


@given(st.lists(parts(), min_size=1, max_size=3), st.binary(max_size=60))
def test_any_bytes_decode_or_raise_a_bitstream_error(message: list[Part], data: bytes) -> None:
    decoder = RangeDecoder(data)
    try:
        decoded = code_parts(decoder, message, blank=True)
        decoder.finish()
    except BitstreamError:
        return
    assert encode([(symbols, *part[1:]) for symbols, part in zip(decoded, message, strict=True)]) == data


def test_a_value_outside_of_every_interval_is_an_error() -> None:
    tables = normalize_counts(np.ones((1, 5), np.int64))
    with pytest.raises(CorruptedError):
        RangeDecoder(b"\xff" * 16).code_grouped(np.zeros(50, np.int32), np.zeros(50, np.int32), tables)


def test_a_truncated_stream_is_told_from_a_longer_one() -> None:
    tables = normalize_counts(np.ones((1, 5), np.int64))
    symbols = (np.arange(200) % 5).astype(np.int32)
    rows = tables[np.zeros(200, np.int32)]
    encoder = RangeEncoder()
    encoder.code(symbols, rows)
    data = encoder.get_bytes()
    for changed, error in ((data[:20], TruncatedError), (data + b"\x01", CorruptedError)):
        decoder = RangeDecoder(changed)
        with pytest.raises(error):
            decoder.code(np.zeros(200, np.int32), rows)
            decoder.finish()


def test_nothing_takes_no_bytes() -> None:
    assert RangeEncoder().get_bytes() == b""
    RangeDecoder(b"").finish()
    tables = normalize_counts(np.ones((2, 3), np.int64))
    none = np.zeros(0, np.int32)
    for coder in (RangeEncoder(), RangeDecoder(b"")):
        assert coder.code(none, tables[none]).shape == coder.code_grouped(none, none, tables).shape == (0,)


def test_what_cannot_be_coded_is_refused() -> None:
    tables = normalize_counts(np.ones((2, 3), np.int64))
    two = np.array([0, 1], np.int32)
    encoder = RangeEncoder()
    for symbols in (np.array([0, 3], np.int32), np.array([-1, 0], np.int32)):
        with pytest.raises(ValueError, match="symbols lie in"):
            encoder.code(symbols, tables)
    for coder in (encoder, RangeDecoder(b"")):
        with pytest.raises(ValueError, match="table ids"):
            coder.code_grouped(two, np.array([0, 2], np.int32), tables)
        with pytest.raises(ValueError, match="symbols"):
            coder.code(two[:1], tables)
        with pytest.raises(ValueError, match="sums to"):
            coder.code(two, tables - 1)
        with pytest.raises(ValueError, match="K >= 2"):
            coder.code(np.zeros(2, np.int32), np.full((2, 1), TOTAL, np.int32))
