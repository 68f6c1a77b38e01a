"""Laws of fixed-point logits and the frequencies that they give."""

from __future__ import annotations

import numpy as np
from context_cases import laplace_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hific.coding.frequency_table import LOGIT_LIMIT, LOGIT_UNIT, TOTAL, fixed_point_logits, frequencies_of
from hific.coding.range_coder import Ints
from hific.context.symbol_bins import SymbolBins

LIMIT = LOGIT_LIMIT * LOGIT_UNIT
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=30)
LOGITS = arrays.arrays(np.int32, SHAPES, elements=st.integers(-LIMIT, LIMIT) | st.integers(-4000, 4000))


@given(LOGITS)
@settings(deadline=None)
def test_any_logits_give_rows_that_can_code(logits: Ints) -> None:
    frequencies = frequencies_of(logits)
    assert frequencies.dtype == np.int32 and frequencies.shape == logits.shape
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()
    # What rounding leaves goes to the first of the largest: else a larger logit has no smaller frequency.
    others = np.arange(logits.shape[1]) != logits.argmax(axis=1)[:, None]
    rows_of_others = len(logits), logits.shape[1] - 1
    order = np.argsort(logits[others].reshape(rows_of_others), axis=1, kind="stable")
    rising = np.take_along_axis(frequencies[others].reshape(rows_of_others), order, axis=1)
    assert (np.diff(rising, axis=1) >= 0).all()
    assert (frequencies.max(axis=1) == frequencies[np.arange(len(logits)), logits.argmax(axis=1)]).all()


@given(LOGITS)
@settings(deadline=None)
def test_frequencies_are_a_softmax(logits: Ints) -> None:
    gaps = (logits - logits.max(axis=1, keepdims=True)) / LOGIT_UNIT
    shares = np.exp(gaps) / np.exp(gaps).sum(axis=1, keepdims=True)
    expected = 1 + shares * (TOTAL - logits.shape[1])
    errors = np.abs(frequencies_of(logits) - expected)
    largest = logits.argmax(axis=1)
    rows = np.arange(len(logits))
    assert errors[rows, largest].max() <= logits.shape[1] + 1
    errors[rows, largest] = 0
    assert errors.max() <= 1.01


@given(LOGITS, st.integers(-1000, 1000))
@settings(deadline=None)
def test_only_differences_of_logits_count(logits: Ints, shift: int) -> None:
    np.testing.assert_array_equal(frequencies_of(logits + shift), frequencies_of(logits))


def test_equal_logits_share_and_the_first_takes_the_rest() -> None:
    assert frequencies_of(np.zeros((1, 3), np.int32)).tolist() == [[21846, 21845, 21845]]
    assert frequencies_of(np.array([[0, -LIMIT, 0]], np.int32)).tolist() == [[32768, 1, 32767]]
    assert frequencies_of(np.zeros((0, 4), np.int32)).shape == (0, 4)


def test_logits_and_frequencies_are_nearly_inverse() -> None:
    frequencies = SymbolBins(laplace_tables(), 3).frequencies
    logits = fixed_point_logits(frequencies)
    assert logits.dtype == np.int16
    np.testing.assert_allclose(logits, 1024 * np.log(frequencies / TOTAL), atol=0.5)
    again = frequencies_of(logits.astype(np.int32))
    # One of 1024 parts, and a share for each bin.
    assert (np.abs(again - frequencies) <= 1e-3 * frequencies + frequencies.shape[1]).all()
