"""Numbers without a table: Exp-Golomb codes of order 0, as plain bits within the range coder's stream.

number + 1 in binary, of which all below its leading one, `length` bits, are sent:

    number   0   1   2   3 ..
    length   0   1   1   2           sent first, in unary: `length` ones, and a zero (left out at MAX_LENGTH)
    bits     -   0   1   00 01 ..    then the bits, the highest first

All numbers go side by side: the first unary digit of each, the second of each that has one, and so on; so do the bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import RangeCoder

MAX_LENGTH = 32
MAX_NUMBER = (1 << MAX_LENGTH + 1) - 2


def code_exp_golomb(coder: RangeCoder, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes numbers int64 [n] of 0..MAX_NUMBER, either way; returns them. A decoder takes only their count.

    Whatever a decoder reads, it asks for at most 2 * MAX_LENGTH bits a number, at most n of them at a time.
    """
    ahead = numbers + 1
    # Exact: below 2**53.
    lengths = np.frexp(ahead.astype(np.float64))[1] - 1
    coded_lengths = np.zeros(len(numbers), np.int32)
    members = np.arange(len(numbers))
    for length in range(MAX_LENGTH):
        if not len(members):
            break
        members = members[coder.code_bits((lengths[members] > length).astype(np.int32)) == 1]
        coded_lengths[members] += 1
    coded = np.ones(len(numbers), np.int64)
    for place in range(int(coded_lengths.max(initial=0)) - 1, -1, -1):
        members = np.flatnonzero(coded_lengths > place)
        bits = coder.code_bits((ahead[members] >> place & 1).astype(np.int32))
        coded[members] = 2 * coded[members] + bits
    return coded - 1
