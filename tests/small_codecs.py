"""What tests of codecs do with small ones: fit a context model, compare what two of them decode, damage files."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from context_cases import CASES
from photos import Pixels
from torch import nn

from hific.codecs.latent_coding import CodedLatent, LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.coding.container import read_info
from hific.errors import BitstreamError
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.layers.blocks import DepthwiseBlock, ResidualBlock

SWITCHES = {"sae": "none", "swwae": "transmitted", "sae_spn": "predicted"}
"""CompressNet's systems; `hific` is the other family's."""


def with_context(codec: LearnedCodec, images: list[Pixels], kind: str, **options: Any) -> LatentCoding:
    """The codec's latent coding with a context model of that kind, fitted to `images`."""
    coding, latents = codec.coding, []
    for image in images:
        coded = codec.decode_latent(codec.compress(image))
        predicted = coding.prior.predict(coded.hyper_symbols, *coded.symbols.shape[1:])
        latents.append(TrainingLatent(coded.symbols, predicted.table_ids))
    fit = ContextFit(CASES[kind].fit, side=5, reach=1, max_windows=4000, **options)
    return replace(coding, context_coded=fit(latents, coding.prior.tables, coding.prior.latent_channels))


def wake(codec: LearnedCodec) -> LearnedCodec:
    """HiFiC's residual blocks start as nothing: here they are to reach as far as they can."""
    for block in codec.model.modules() if codec.family.name == "hific" else ():
        if isinstance(block, DepthwiseBlock):
            nn.init.constant_(block.narrow.weight, 0.1)
        if isinstance(block, ResidualBlock) and not isinstance(block.second[1], nn.Identity):
            nn.init.ones_(block.second[1].weight)
    return codec


def same_latent(one: LearnedCodec, other: LearnedCodec, data: bytes) -> bool:
    """Whether both decode the same symbols."""
    return equal(one.decode_latent(data), other.decode_latent(data))


def equal(one: CodedLatent, other: CodedLatent) -> bool:
    pairs = [*zip(one[:3], other[:3], strict=True), *zip(one[3], other[3], strict=True)]
    return all(np.array_equal(*pair) for pair in pairs)


def difference(one: LearnedCodec, other: LearnedCodec, data: bytes) -> int:
    """Largest, in gray levels, between the images that two codecs make of the same bytes."""
    pixels = [np.asarray(codec.decompress(data)).astype(int) for codec in (one, other)]
    return int(np.abs(pixels[0] - pixels[1]).max())


def corrupted(data: bytes, rng: np.random.Generator) -> bytes:
    """A bit flipped, the end cut, bytes put in or added, or some replaced."""
    at, extra = int(rng.integers(len(data))), rng.bytes(int(rng.integers(1, 9)))
    flipped = bytes([data[at] ^ 1 << int(rng.integers(8))])
    return (
        data[:at] + flipped + data[at + 1 :],
        data[:at],
        data[:at] + extra + data[at:],
        data + extra,
        data[:at] + extra + data[at + len(extra) :],
    )[int(rng.integers(5))]


def with_fixed_checksum(data: bytes) -> bytes:
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def outcome(codec: LearnedCodec, data: bytes) -> str:
    """`image` of the size that the header says, or `refused`; anything else fails."""
    try:
        image = codec.decompress(data)
    except BitstreamError:
        return "refused"
    info = read_info(data)
    assert image.size == (info.width, info.height) and info.width * info.height <= codec.max_pixels
    return "image"
