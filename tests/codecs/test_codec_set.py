"""Several codecs as one: the largest file within a limit, and the codec that made a file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from photos import noise

import hific
from hific.codecs.codec_set import CodecSet
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.codecs.memory import estimated_tiled_memory
from hific.errors import BitstreamError, NoFileFitsError, TooLargeError, WrongModelError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

MakeCheckpoint = Callable[..., Path]


@pytest.fixture
def codecs(make_hific_checkpoint: MakeCheckpoint, make_checkpoint: MakeCheckpoint) -> list[LearnedCodec]:
    paths = [make_hific_checkpoint(f"{deviation}.ckpt", deviation=deviation) for deviation in (0.5, 8.0)]
    return [load_codec(path) for path in (*paths, make_checkpoint("compressnet.ckpt"))]


def test_the_outcome_is_the_largest_that_fits_in_whatever_order(codecs: list[LearnedCodec]) -> None:
    image = noise(60, 50)
    files = sorted((codec.compress(image) for codec in codecs), key=len)
    sizes = [len(data) for data in files]
    assert len(set(sizes)) == 3
    for order in itertools.permutations(codecs):
        several = CodecSet(order)
        for limit in (sizes[0], sizes[1] - 1, sizes[1], sizes[2] - 1, sizes[2] + 1):
            data, codec = several.compress_within(image, limit)
            assert data == max((data for data in files if len(data) <= limit), key=len) == codec.compress(image)
            assert several.codec_of(data) is codec


def test_none_fits(codecs: list[LearnedCodec]) -> None:
    image = noise(60, 50)
    smallest = min(len(codec.compress(image)) for codec in codecs)
    for limit in (smallest - 1, 1, 0):
        with pytest.raises(NoFileFitsError, match=f"at most {limit} bytes.* the smallest takes {smallest} ") as refused:
            CodecSet(codecs).compress_within(image, limit)
        assert refused.value.num_bytes == smallest and refused.value.max_bytes == limit
        assert f"({8 * smallest / 3000:.4f} bpp)" in str(refused.value)
    assert isinstance(refused.value, ValueError) and not isinstance(refused.value, BitstreamError)


def test_files_go_to_the_codec_that_made_them(codecs: list[LearnedCodec]) -> None:
    image = noise(33, 40)
    several = CodecSet(codecs)
    for codec in codecs:
        data = codec.compress(image)
        assert several.codec_of(data) is codec
        assert several.decompress(bytearray(data)).tobytes() == codec.decompress(data).tobytes()
    with pytest.raises(WrongModelError) as refused:
        CodecSet(codecs[1:]).decompress(codecs[0].compress(image))
    assert all(codec.fingerprint.hex() in str(refused.value) for codec in codecs)
    for damaged in (b"", b"HFC", data[:-1], data[:5] + bytes([data[5] ^ 1]) + data[6:]):
        with pytest.raises(BitstreamError) as noticed:
            several.decompress(damaged)
        assert not isinstance(noticed.value, WrongModelError), "damage is told as such"


def test_a_limit_on_pixels_leaves_out_whom_it_concerns(
    make_checkpoint: MakeCheckpoint, codecs: list[LearnedCodec]
) -> None:
    small = load_codec(make_checkpoint("small.ckpt"), max_pixels=5000)
    image = noise(100, 70)
    data, codec = CodecSet([small, codecs[0]]).compress_within(image, 10**6)
    assert codec is codecs[0] and data == codec.compress(image)
    with pytest.raises(TooLargeError, match="limit of 5000 pixels"):
        CodecSet([small]).compress_within(image, 10**6)
    smaller = load_codec(make_checkpoint("smaller.ckpt"), max_pixels=4000)
    with pytest.raises(TooLargeError, match="limit of 5000 pixels"):
        CodecSet([smaller, small]).compress_within(image, 10**6)


def test_memory_that_is_short_fails_the_image_and_does_not_choose_the_codec(
    make_checkpoint: MakeCheckpoint, codecs: list[LearnedCodec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which codec is taken must not depend on what else runs."""
    wide = load_codec(make_checkpoint("wide.ckpt", widths=(40, 4, 4, 4, 4)))
    image = noise(320, 320)
    data = codecs[0].compress(image)
    monkeypatch.setattr("hific.codecs.memory.available_memory", lambda: 80_000_000)
    assert CodecSet(codecs[:1]).compress_within(image, 10**6).data == data
    with pytest.raises(TooLargeError, match="GB are available"):
        CodecSet([codecs[0], wide]).compress_within(image, 10**6)
    monkeypatch.setattr("hific.codecs.memory.available_memory", lambda: 10_000_000)
    with pytest.raises(TooLargeError, match="in tiles of 1024"):
        CodecSet(codecs[:1]).decompress(data)


def test_estimates_of_memory_follow_tiles_sizes_and_precision() -> None:
    """Against what was measured, in MB beside the weights: (tile, precision, size): peak."""
    sizes = {"widths": (16, 32, 64, 128, 192), "latent_channels": 96, "hyper_channels": 96, "residual_blocks": 4}
    with torch.device("meta"):
        model = HyperpriorAutoencoder(**sizes)
    measured = {
        (0, "float32", (1024, 1024)): 232,
        (0, "float32", (2048, 2048)): 808,
        (1024, "float32", (2048, 2048)): 433,
        (1024, "float32", (6000, 4000)): 887,
        (0, "bfloat16", (1024, 1024)): 1769,
        (0, "bfloat16", (2048, 2048)): 6942,
    }
    for (tile, precision, size), peak in measured.items():
        assert peak < max(estimated_tiled_memory(size, model, tile, precision)) / 1e6 < 1.3 * peak


def test_estimates_of_memory_know_patch_transforms() -> None:
    """Which hold less: the largest of several runs, as above."""
    with torch.device("meta"):
        model = HyperpriorAutoencoder(
            transform="patch",
            widths=(128, 256),
            latent_channels=96,
            hyper_channels=96,
            residual_blocks=(3, 4),
            normalization="none",
        )
    measured = {(0, (1024, 1024)): 134, (0, (2048, 2048)): 515, (1024, (2048, 2048)): 232}
    for (tile, size), peak in measured.items():
        assert peak < max(estimated_tiled_memory(size, model, tile, "float32")) / 1e6 < 1.3 * peak


def test_the_package_exports_it_and_an_empty_set_is_refused() -> None:
    assert hific.CodecSet is CodecSet and hific.NoFileFitsError is NoFileFitsError
    with pytest.raises(ValueError, match="one or more"):
        CodecSet([])
