"""Counts to the integer frequencies that steer the coder. Exact integer arithmetic: the same table on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
