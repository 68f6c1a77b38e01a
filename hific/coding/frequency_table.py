"""Counts to the integer frequencies that steer the coder. Exact integer arithmetic: the same table on every machine.

Fixed-point logits: logarithms of probabilities, up to a constant of each row, as integers in 1/1024.

From logits to frequencies goes a table of integers, so that no machine's logarithm or exponential has a say in what
is coded.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]

PRECISION = 16
TOTAL = 1 << PRECISION
# Keeps every product and row sum below 2**63, for alphabets of up to 2**16 symbols.
MAX_COUNT = 1 << 46


def normalize_counts(counts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Frequencies int32 [..., K] proportional to the counts int64 [..., K]: each row sums to 2**16, each entry is at
    least 1.

    Every symbol gets 1, so that any symbol can be coded; what remains of 2**16 is shared out in proportion to the
    counts by largest remainders, ties going to the lower symbol. A row of zeros becomes uniform (to within 1). Raises
    ValueError for counts that are not integers in [0, 2**46], or for K outside 1..2**16.
    """
    counts = np.asarray(counts)
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"counts are integers, not {counts.dtype}")
    if counts.ndim == 0 or not 1 <= counts.shape[-1] <= TOTAL:
        raise ValueError(f"a row of counts has 1 to {TOTAL} entries; the array's shape is {counts.shape}")
    if counts.size and not 0 <= int(counts.min()) <= int(counts.max()) <= MAX_COUNT:
        raise ValueError(f"counts lie in [0, 2**46], not [{counts.min()}, {counts.max()}]")
    num_symbols = counts.shape[-1]
    rows = counts.astype(np.int64).reshape(-1, num_symbols)
    rows = np.where(rows.sum(axis=1, keepdims=True) == 0, 1, rows)
    to_share = TOTAL - num_symbols
    shares, remainders = np.divmod(rows * to_share, rows.sum(axis=1, keepdims=True))
    left_over = to_share - shares.sum(axis=1, keepdims=True)
    by_remainder = np.argsort(-remainders, axis=1, kind="stable")
    bonus = np.empty_like(rows)
    np.put_along_axis(bonus, by_remainder, (np.arange(num_symbols) < left_over).astype(np.int64), axis=1)
    return (shares + bonus + 1).astype(np.int32).reshape(counts.shape)


LOGIT_UNIT = 1024
# Of a sum of logits; float32 holds multiples of 1/1024 below it exactly, whatever the order of summation.
LOGIT_LIMIT = 1 << 13

_EXP_BITS = 30
_LOW_BITS = 7
# e**-21 of 2**30 is nothing.
_LARGEST_GAP = 21 * LOGIT_UNIT - 1


def fixed_point_logits(frequencies: Ints) -> NDArray[np.int16]:
    """round(1024 ln p), in floating point: made once, when a context model is fitted, and stored."""
    return np.rint(np.log(frequencies / TOTAL) * LOGIT_UNIT).astype(np.int16)


def frequencies_of(logits: Ints) -> Ints:
    """Logits int32 [n, K'] in 1/1024 to frequencies int32 [n, K'], each row positive with a sum of 2**16.

    exp of the distance to the row's largest; what rounding leaves goes to the first of the largest.
    """
    gaps = np.minimum(logits.max(axis=1, keepdims=True) - logits, _LARGEST_GAP)
    high, low = _exponentials()
    weights = high[gaps >> _LOW_BITS] * low[gaps & (1 << _LOW_BITS) - 1] >> _EXP_BITS
    shared = TOTAL - logits.shape[1]
    frequencies = weights * shared // weights.sum(axis=1, keepdims=True) + 1
    rows = np.arange(len(logits))
    frequencies[rows, logits.argmax(axis=1)] += TOTAL - frequencies.sum(axis=1)
    return frequencies.astype(np.int32)


@cache
def _exponentials() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """exp(-128 i / 1024) and exp(-j / 1024), in 2**-30; decimal's are correctly rounded everywhere."""
    steps = (1 << _LOW_BITS, 1)
    counts = (_LARGEST_GAP // (1 << _LOW_BITS) + 1, 1 << _LOW_BITS)
    tables = [
        [int((Decimal(-step * index) / LOGIT_UNIT).exp() * (1 << _EXP_BITS)) for index in range(count)]
        for step, count in zip(steps, counts, strict=True)
    ]
    return np.array(tables[0], np.int64), np.array(tables[1], np.int64)
