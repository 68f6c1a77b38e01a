"""Symbols at their nominal rate, without a model: five levels at log2(5) bits, four at 2 bits.

55 symbols of five levels take 16 bytes: 5**55 < 2**128. Each group is one number, its first symbol the least
significant digit, written little endian. The last group is shortened to the fewest bytes that hold it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hific.errors import CorruptedError, TruncatedError

GROUP_SYMBOLS = 55
GROUP_BYTES = 16
# 5**27 < 2**63: a group is handled as two int64 of 27 digits and one single digit.
_HALF = 27
_POWERS = 5 ** np.arange(_HALF, dtype=np.int64)


def packed_size(num_symbols: int) -> int:
    """Bytes that `pack_base5` takes: 16 per 55 symbols, and the fewest that hold the rest."""
    groups, rest = divmod(num_symbols, GROUP_SYMBOLS)
    return groups * GROUP_BYTES + _bytes_for(rest)


def pack_base5(symbols: NDArray[np.integer]) -> bytes:
    """Bytes of symbols 0..4, [n]. Raises ValueError for other symbols."""
    _check_range(symbols, 5)
    padded = np.zeros(-(-len(symbols) // GROUP_SYMBOLS) * GROUP_SYMBOLS, np.int64)
    padded[: len(symbols)] = symbols
    groups = padded.reshape(-1, GROUP_SYMBOLS)
    lows = (groups[:, :_HALF] * _POWERS).sum(axis=1).tolist()
    middles = (groups[:, _HALF : 2 * _HALF] * _POWERS).sum(axis=1).tolist()
    tops = groups[:, 2 * _HALF].tolist()
    values = (low + 5**_HALF * (middle + 5**_HALF * top) for low, middle, top in zip(lows, middles, tops, strict=True))
    return b"".join(value.to_bytes(GROUP_BYTES, "little") for value in values)[: packed_size(len(symbols))]


def unpack_base5(data: bytes, num_symbols: int) -> NDArray[np.int32]:
    """Symbols int32 [num_symbols] of `pack_base5`'s bytes. Raises TruncatedError or CorruptedError for any others."""
    _check_length(data, packed_size(num_symbols))
    halves = []
    for start in range(0, len(data), GROUP_BYTES):
        middle_and_top, low = divmod(int.from_bytes(data[start : start + GROUP_BYTES], "little"), 5**_HALF)
        top, middle = divmod(middle_and_top, 5**_HALF)
        if top > 4:
            raise CorruptedError("packed symbols: a group is 5**55 or more")
        halves.append((low, middle, top))
    values = np.array(halves, np.int64).reshape(-1, 3)
    groups = np.concatenate([_digits(values[:, 0]), _digits(values[:, 1]), values[:, 2:]], axis=1)
    symbols = groups.ravel().astype(np.int32)
    if symbols[num_symbols:].any():
        raise CorruptedError("packed symbols: the last group is larger than its symbols can make it")
    return symbols[:num_symbols]


def pack_base4(symbols: NDArray[np.integer]) -> bytes:
    """Bytes of symbols 0..3, [n]: four a byte, the first in the lowest bits. Raises ValueError for other symbols."""
    _check_range(symbols, 4)
    padded = np.zeros(-(-len(symbols) // 4) * 4, np.uint8)
    padded[: len(symbols)] = symbols
    quads = padded.reshape(-1, 4)
    return (quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6).tobytes()


def unpack_base4(data: bytes, num_symbols: int) -> NDArray[np.int8]:
    """Symbols int8 [num_symbols] of `pack_base4`'s bytes. Raises TruncatedError or CorruptedError for any others."""
    _check_length(data, -(-num_symbols // 4))
    bytes_ = np.frombuffer(data, np.uint8)
    symbols = np.stack([bytes_ >> shift & 3 for shift in (0, 2, 4, 6)], axis=1).ravel().astype(np.int8)
    if symbols[num_symbols:].any():
        raise CorruptedError("packed symbols: bits are set behind the last one")
    return symbols[:num_symbols]


def _bytes_for(num_symbols: int) -> int:
    return ((5**num_symbols - 1).bit_length() + 7) // 8


def _digits(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values[:, None] // _POWERS % 5


def _check_range(symbols: NDArray[np.integer], base: int) -> None:
    if symbols.ndim != 1 or (len(symbols) and not 0 <= int(symbols.min()) <= int(symbols.max()) < base):
        raise ValueError(f"packing takes a row of symbols in 0..{base - 1}")


def _check_length(data: bytes, expected: int) -> None:
    if len(data) < expected:
        raise TruncatedError(f"packed symbols: {len(data)} bytes where {expected} are due")
    if len(data) > expected:
        raise CorruptedError(f"packed symbols: {len(data)} bytes where {expected} are due")
