"""Damaged .hfc files of tiny images, the checksum made right again: refused in a line, or another latent.

Damage: bits, bytes put in, taken out, replaced, the end cut, other sizes and flags in the header. The codecs are the
tiny models with every latent coder. What decodes has been checked by the decoder: it is what its symbols encode to.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz.outcomes import one_line
from benchmarks.fuzz.tiny_models import tiny_checkpoints
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import codec_of_checkpoint
from hific.coding.container import read_info
from hific.errors import BitstreamError

MOST_SECONDS = 1.0
SIZES = ((16, 16), (20, 33), (48, 40))
# Whole images are decoded of every so many streams that decode.
IMAGE_EVERY = 20
# Magic, version and fingerprint, sizes, flags.
_FINGERPRINT_END, _HEADER_END = 8, 11
Rng = np.random.Generator


@cache
def files() -> list[tuple[LearnedCodec, bytes]]:
    """A codec and a file of its own, of every coder and size."""
    rng = np.random.default_rng(0)
    found = []
    for name, checkpoint in tiny_checkpoints().items():
        codec = codec_of_checkpoint(checkpoint, Path(name))
        for coder in codec.coding.coders if name in ("hific", "sae_spn", "swwae") else [codec.coder]:
            chosen = codec.with_options(coder=coder)
            for width, height in SIZES:
                found.append((chosen, chosen.compress(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))))
    return found


# Quick codecs come oftener: so many tries of each file for each of a context model's.
OFTENER = {"sae_spn": 40, "swwae": 12, "hific": 8, "hific_postfilter": 8}


@cache
def _shares() -> np.ndarray:
    """Cumulative, of `files`."""
    weights = np.cumsum([OFTENER.get(codec.name, 1) for codec, _ in files()])
    return np.asarray(weights / weights[-1])


def try_stream(seed: int) -> str:
    """The class of what happened to the file of this seed."""
    rng = np.random.default_rng([2, seed])
    codec, data = files()[int(np.searchsorted(_shares(), rng.random()))]
    damaged = data
    for _ in range(int(rng.integers(1, 4))):
        damaged = _damaged(damaged, rng)
    if rng.random() < 0.97 and len(damaged) > 4:
        damaged = damaged[:-4] + zlib.crc32(damaged[:-4]).to_bytes(4, "little")
    try:
        if seed % IMAGE_EVERY:
            codec.decode_latent(damaged)
            return "another latent" if damaged != data else "the same file"
        image = codec.decompress(damaged)
    except BitstreamError as error:
        return one_line(error)
    info = read_info(damaged)
    assert image.size == (info.width, info.height)
    return "another image" if damaged != data else "the same file"


def _damaged(data: bytes, rng: Rng) -> bytes:
    kind = rng.random()
    # Nearly always behind the fingerprint: what is before it is refused at once.
    first = 0 if kind < 0.02 else _FINGERPRINT_END if kind < 0.15 else min(_HEADER_END, len(data))
    at = first + int(rng.integers(max(1, len(data) - 4 - first)))
    extra = rng.bytes(int(rng.integers(1, 9)))
    action = int(rng.integers(6))
    if action <= 1:
        return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :] if at < len(data) else data
    if action == 2:
        return data[:at] + data[-4:]
    if action == 3:
        return data[:at] + extra + data[at:]
    if action == 4:
        return data[:at] + extra + data[at + len(extra) :]
    return data[:at] + data[at + len(extra) :]
