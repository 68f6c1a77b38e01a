"""An encoder that decodes what it wrote."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hific.coding.checked_encoder import CheckedEncoder
from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeCoder, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.errors import BitstreamError

METHODS = ("code", "code_grouped", "code_runs", "code_bits")


def traversal(coder: RangeCoder, seed: int, methods: list[str]) -> list[np.ndarray]:
    """Calls of any kinds in a row; returns what each gave."""
    rng, coded = np.random.default_rng(seed), []
    for method in methods:
        number, tables = int(rng.integers(0, 20)), normalize_counts(rng.integers(0, 50, (3, 4)))
        symbols, ids = rng.integers(0, 4, number).astype(np.int32), rng.integers(0, 3, number).astype(np.int32)
        if method == "code":
            coded.append(coder.code(symbols, tables[ids]))
        elif method == "code_grouped":
            coded.append(coder.code_grouped(symbols, ids, tables))
        elif method == "code_runs":
            sizes = np.full(3, 4, np.int32)
            run_lengths = np.bincount(ids, minlength=3).astype(np.int32)
            coded.append(coder.code_runs(symbols, run_lengths, tables.ravel(), sizes))
        else:
            coded.append(coder.code_bits(symbols % 2))
    return coded


@given(st.integers(0, 2**32), st.lists(st.sampled_from(METHODS), max_size=6))
@settings(max_examples=60, deadline=None)
def test_bytes_are_the_plain_encoders_and_decode(seed: int, methods: list[str]) -> None:
    plain, checked = RangeEncoder(), CheckedEncoder()
    expected, coded = traversal(plain, seed, methods), traversal(checked, seed, methods)
    for one, other in zip(expected, coded, strict=True):
        np.testing.assert_array_equal(one, other)
    assert checked.get_bytes() == plain.get_bytes()
    assert checked.decodes()
    assert checked.get_bytes() == plain.get_bytes()


def test_symbol_tables_with_escapes_decode() -> None:
    tables = SymbolTables(
        np.array([-1], np.int32), np.array([3], np.int32), normalize_counts(np.array([2, 9, 2, 1])).astype(np.int32)
    )
    values = np.array([0, 1, -1, 2**31 - 1, -(2**31), 7, 0], np.int32)
    encoder = CheckedEncoder()
    tables.code(encoder, values, np.zeros(len(values), np.int32))
    assert encoder.decodes()


@pytest.mark.parametrize("method", METHODS)
def test_a_decoder_that_differs_is_noticed(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(RangeDecoder, method)

    def differing(self: RangeDecoder, symbols: np.ndarray, *tables: Any) -> np.ndarray:
        decoded = original(self, symbols, *tables)
        decoded[-1] ^= 1
        return decoded

    monkeypatch.setattr(RangeDecoder, method, differing)
    encoder = CheckedEncoder()
    traversal(encoder, 1, ["code", "code_grouped", "code_runs", "code_bits"])
    assert not encoder.decodes()
    others = CheckedEncoder()
    traversal(others, 1, [other for other in METHODS if other != method])
    assert others.decodes()


def test_bytes_that_are_cut_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = CheckedEncoder()
    traversal(encoder, 0, ["code", "code", "code"])
    whole = encoder.get_bytes()
    monkeypatch.setattr(CheckedEncoder, "get_bytes", lambda self: whole + b"\0")
    with pytest.raises(BitstreamError):
        encoder.decodes()
