"""Laws of `normalize_counts`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hific.coding.frequency_table import MAX_COUNT, TOTAL, normalize_counts

Rows = list[list[int]]


@st.composite
def count_rows(draw: st.DrawFn, largest: int = MAX_COUNT) -> Rows:
    num_symbols = draw(st.integers(1, 40))
    count = st.one_of(st.just(0), st.integers(0, 20), st.integers(0, largest))
    return draw(st.lists(st.lists(count, min_size=num_symbols, max_size=num_symbols), min_size=1, max_size=4))


@given(count_rows())
def test_rows_sum_to_the_total_and_every_symbol_has_a_share(rows: Rows) -> None:
    frequencies = normalize_counts(np.array(rows, np.int64))
    assert frequencies.dtype == np.int32
    assert (frequencies.sum(axis=-1) == TOTAL).all()
    assert (frequencies >= 1).all()


@given(count_rows())
def test_frequencies_are_the_exact_shares_to_within_one(rows: Rows) -> None:
    for row, frequencies in zip(rows, normalize_counts(np.array(rows, np.int64)).tolist(), strict=True):
        counts = row if any(row) else [1] * len(row)
        for count, frequency in zip(counts, frequencies, strict=True):
            exact = 1 + Fraction(count * (TOTAL - len(row)), sum(counts))
            assert abs(frequency - exact) < 1


@given(count_rows(largest=1000), st.integers(2, 10**6))
def test_only_proportions_count(rows: Rows, factor: int) -> None:
    counts = np.array(rows, np.int64)
    np.testing.assert_array_equal(normalize_counts(counts * factor), normalize_counts(counts))


@given(count_rows())
def test_rows_do_not_influence_each_other(rows: Rows) -> None:
    counts = np.array(rows, np.int64)
    one_by_one = np.stack([normalize_counts(row) for row in counts])
    np.testing.assert_array_equal(normalize_counts(counts[:, None])[:, 0], one_by_one)


def test_ties_go_to_the_lower_symbol() -> None:
    assert normalize_counts(np.zeros(3, np.int64)).tolist() == [21846, 21845, 21845]
    assert normalize_counts(np.zeros(1, np.int64)).tolist() == [TOTAL]
    assert normalize_counts(np.array([0, MAX_COUNT])).tolist() == [1, TOTAL - 1]


@pytest.mark.parametrize(
    "counts",
    [np.ones(4), np.array([1, -1]), np.array([1, MAX_COUNT + 1]), np.array(3), np.zeros((2, 0), np.int64)],
    ids=["floats", "negative", "too large", "no row", "empty rows"],
)
def test_other_counts_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="counts"):
        normalize_counts(counts)
