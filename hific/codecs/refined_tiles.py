"""Which tiles of an image are refined, in a file: one raw part of one bit a tile, and none where no tile is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hific.context.refinement import Flags, Refinement
from hific.errors import CorruptedError


def pack_flags(flags: Flags) -> tuple[bytes, ...]:
    """The raw parts for flags of any shape: rows from the top, the first tile in the highest bit."""
    return (np.packbits(flags.ravel()).tobytes(),) if flags.any() else ()


def unpack_flags(raw_parts: Sequence[bytes], refinement: Refinement | None, height: int, width: int) -> Flags | None:
    """What `pack_flags` wrote for an image; None where no tile is refined. CorruptedError for all else."""
    if not raw_parts:
        return None
    if refinement is None or len(raw_parts) > 1:
        raise CorruptedError(f"{len(raw_parts)} raw parts, of which the model that made the file knows nothing")
    grid = refinement.grid(height, width)
    bits = np.unpackbits(np.frombuffer(raw_parts[0], np.uint8)).astype(bool)
    count = grid[0] * grid[1]
    if len(raw_parts[0]) != -(-count // 8) or bits[count:].any() or not bits.any():
        raise CorruptedError(f"{len(raw_parts[0])} bytes that do not say which of {count} tiles are refined")
    return bits[:count].reshape(grid)
