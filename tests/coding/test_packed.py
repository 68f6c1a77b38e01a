"""Laws of the packed codings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hific.coding.packed import pack_base4, pack_base5, packed_size, unpack_base4, unpack_base5
from hific.errors import BitstreamError, CorruptedError, TruncatedError


@given(st.lists(st.integers(0, 4), max_size=240))
def test_base5_round_trip_at_the_nominal_size(symbols: list[int]) -> None:
    data = pack_base5(np.array(symbols, np.int32))
    groups, rest = divmod(len(symbols), 55)
    assert len(data) == packed_size(len(symbols)) == 16 * groups + math.ceil(rest * math.log2(5) / 8)
    unpacked = unpack_base5(data, len(symbols))
    assert unpacked.dtype == np.int32
    assert unpacked.tolist() == symbols


@given(st.lists(st.integers(0, 3), max_size=50))
def test_base4_round_trip_at_two_bits(symbols: list[int]) -> None:
    data = pack_base4(np.array(symbols, np.int8))
    assert len(data) == math.ceil(len(symbols) / 4)
    assert unpack_base4(data, len(symbols)).tolist() == symbols


@given(st.binary(max_size=40), st.integers(0, 130))
def test_any_bytes_unpack_to_what_packs_to_them_or_raise(data: bytes, num_symbols: int) -> None:
    for pack, unpack in ((pack_base5, unpack_base5), (pack_base4, unpack_base4)):
        try:
            symbols = unpack(data, num_symbols)
        except BitstreamError:
            continue
        assert pack(symbols) == data


def test_the_largest_values() -> None:
    for num_symbols in (1, 3, 54, 55, 56, 110):
        symbols = np.full(num_symbols, 4)
        assert unpack_base5(pack_base5(symbols), num_symbols).tolist() == symbols.tolist()
    too_large = (5**55).to_bytes(16, "little")
    with pytest.raises(CorruptedError):
        unpack_base5(too_large, 55)
    with pytest.raises(CorruptedError):
        unpack_base5((5**3).to_bytes(1, "little"), 3)


def test_wrong_lengths_and_symbols() -> None:
    for unpack in (unpack_base5, unpack_base4):
        with pytest.raises(TruncatedError):
            unpack(bytes(3), 100)
        with pytest.raises(CorruptedError):
            unpack(bytes(300), 100)
    for pack, base in ((pack_base5, 5), (pack_base4, 4)):
        for symbols in (np.array([base]), np.array([-1]), np.zeros((2, 2), np.int32)):
            with pytest.raises(ValueError, match="symbols in 0"):
                pack(symbols)
