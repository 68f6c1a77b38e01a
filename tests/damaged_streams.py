"""Streams that nobody wrote, and a decoder that notices where one makes it go on."""

from __future__ import annotations

import numpy as np

from hific.coding.range_coder import Ints, RangeDecoder


class WatchedDecoder(RangeDecoder):
    """Reads as often as tables, passes and the longest escapes of each can ask for: 66 times 25; no more."""

    reads = 0

    def _decode(self, model: object, parameters: object) -> Ints:
        self.reads += 1
        assert self.reads <= 66 * 25, "a stream makes the decoder go on and on"
        return super()._decode(model, parameters)


def damaged_streams(stream: bytes, seed: int) -> list[bytes]:
    """A bit flipped, the end cut, bytes added, all replaced."""
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(stream)))
    flipped = bytes([stream[at] ^ 1 << int(rng.integers(8))])
    extra = rng.bytes(1 + seed % 9)
    return [stream[:at] + flipped + stream[at + 1 :], stream[:at], stream + extra, extra, b"\xff" * len(stream), b""]
