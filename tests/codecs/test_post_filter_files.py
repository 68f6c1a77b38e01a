"""Files with a post-filter: the flags at the stream's end, and what they cost, gain and change."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from photos import noise
from small_codecs import corrupted, with_fixed_checksum

from hific.codecs.families import HificOptions, load_family
from hific.codecs.family import Identity
from hific.codecs.hific import HificTransform, latent_coding
from hific.codecs.latent_coding import LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.priors import HyperPrior
from hific.coding.container import pack, read_info, unpack
from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.errors import BitstreamError, CorruptedError, OptionError
from hific.fitting.postfilter import PostFilterFit
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.postfilter.postfilter import PostFilter, code_flags

TILE = 16
# The dark tiles at the top are no better for being brightened.
IMAGE = np.concatenate([noise(35, TILE) // 8, noise(35, 50 - TILE, seed=1)])


@cache
def linear_filter() -> PostFilter:
    """Fitted to photos that are 8 levels too dark: it brightens."""
    rng = np.random.default_rng(0)
    fit = PostFilterFit(side=3, tile=TILE, rounds=0, pixels_per_photo=256)
    photos = [rng.integers(60, 180, (32, 32, 3), dtype=np.uint8) for _ in range(3)]
    return fit([fit.patches(index, one, one + 8) for index, one in enumerate(photos)])


@cache
def codec(post_filter: bool | None = None, tile: int = 1024) -> LearnedCodec:
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(widths=(4, 6, 8, 10, 12), latent_channels=4, hyper_channels=4, residual_blocks=1)
    with torch.no_grad():
        model.eval()(torch.rand(1, 3, 64, 64))
    coding = replace(latent_coding(model), post_filter=linear_filter())
    identity = Identity("filtered", b"\1\2\3\4")
    return LearnedCodec(load_family("hific"), model, coding, identity, HificOptions(post_filter=post_filter, tile=tile))


@given(st.integers(1, 100), st.integers(1, 100), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_flags_return(height: int, width: int, seed: int, share: float) -> None:
    """A bit a tile, and one that says whether there are any."""
    flags = np.random.default_rng(seed).random(linear_filter().grid(height, width)) < share
    encoder = RangeEncoder()
    code_flags(encoder, flags)
    stream = encoder.get_bytes()
    assert len(stream) <= (-(-(1 + flags.size) // 8) if flags.any() else 1)
    decoder = RangeDecoder(stream)
    assert np.array_equal(code_flags(decoder, np.zeros_like(flags)), flags)
    decoder.finish()


@given(st.binary(max_size=6))
def test_other_flags_than_are_written_are_refused(stream: bytes) -> None:
    decoder = RangeDecoder(stream)
    try:
        flags = code_flags(decoder, np.zeros((2, 3), bool))
        decoder.finish()
    except BitstreamError:
        return
    encoder = RangeEncoder()
    code_flags(encoder, flags)
    assert encoder.get_bytes() == stream


def test_flags_of_which_none_is_set_are_said_by_one_bit_only() -> None:
    encoder = RangeEncoder()
    encoder.code_bits(np.array([1, 0, 0, 0, 0, 0, 0], np.int32))
    with pytest.raises(CorruptedError, match="tile flags that no encoder writes"):
        code_flags(RangeDecoder(encoder.get_bytes()), np.zeros((2, 3), bool))


def test_a_filtered_file_of_a_model_without_post_filter_is_refused() -> None:
    own = codec()
    without = LearnedCodec(own.family, own.model, replace(own.coding, post_filter=None), own.identity)
    assert without.setting == "tables" and not without.post_filters
    with pytest.raises(CorruptedError, match="with tile flags, of which the model that made it knows nothing"):
        without.decompress(own.compress(IMAGE))
    with pytest.raises(OptionError, match="post_filter=True: filtered has no post-filter"):
        without.with_options(post_filter=True)
    plain = codec(post_filter=False).compress(IMAGE)
    assert without.decompress(plain).tobytes() == own.decompress(plain).tobytes()


def test_a_tile_is_corrected_where_that_is_closer() -> None:
    plain = codec(post_filter=False)
    before = np.asarray(plain.decompress(plain.compress(IMAGE)))
    brighter = before.copy()
    brighter[:TILE, TILE : 2 * TILE] += 8  # one tile of what the model makes needs the correction, the rest is perfect
    flags = linear_filter().flags(before, brighter)
    assert flags.tolist() == [[False, True, False], [False] * 3, [False] * 3, [False] * 3]
    assert ((linear_filter().apply(before, flags).astype(int) - brighter) ** 2).sum() < TILE * TILE * 3 * 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (33, 51), (64, 16)])
def test_filtered_files_are_closer_and_decoded_alike_in_tiles(shape: tuple[int, int]) -> None:
    image = noise(*shape[::-1], seed=1)
    filtered, plain = codec(), codec(post_filter=False)
    data, plain_data = filtered.compress(image), plain.compress(image)
    assert (filtered.setting, plain.setting) == ("tables, post-filter", "tables")
    assert [unpack(one, max_pixels=10**6).header.post_filter for one in (data, plain_data)] == [True, False]
    assert [read_info(one).post_filter for one in (data, plain_data)] == [True, False]
    num_tiles = int(np.prod(linear_filter().grid(*shape)))
    assert 0 <= len(data) - len(plain_data) <= 1 + (1 + num_tiles) // 8
    assert np.array_equal(filtered.decode_latent(data).symbols, plain.decode_latent(plain_data).symbols)
    errors = [((np.asarray(filtered.decompress(one)).astype(int) - image) ** 2).sum() for one in (data, plain_data)]
    share = filtered.filtered_share(image)["post_filtered_share"]
    assert errors[0] <= errors[1] and (errors[0] < errors[1]) == (share > 0)
    assert plain.filtered_share(image) == {"post_filtered_share": 0}
    in_tiles = np.asarray(codec(tile=16).decompress(data)).astype(int)
    assert np.abs(in_tiles - np.asarray(filtered.decompress(data))).max() <= 2


def test_what_a_filtered_file_decodes_to_is_the_plain_image_corrected_where_flags_say() -> None:
    data = codec().compress(IMAGE)
    plain = np.asarray(codec().decompress(codec(post_filter=False).compress(IMAGE)))
    flags = linear_filter().flags(plain, IMAGE)
    assert flags.any() and not flags.all()
    np.testing.assert_array_equal(np.asarray(codec().decompress(data)), linear_filter().apply(plain, flags))


def test_a_variant_is_the_last_coder_with_the_post_filter() -> None:
    variants = codec(post_filter=False).variants()
    assert [one.label for one in variants] == ["tables", "tables, post-filter"]
    assert [one.codec.post_filters for one in variants] == [False, True]
    assert variants[1].extra_metrics is not None
    assert 0 < variants[1].extra_metrics(IMAGE)["post_filtered_share"] < 1


def test_encoding_computes_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """One prediction and one synthesis for the file, its check and its flags."""
    calls: list[str] = []

    def counted(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def count(self: Any, *arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return original(self, *arguments, **options)

        monkeypatch.setattr(owner, name, count)

    for owner, name in ((HyperPrior, "predict"), (HificTransform, "analyze"), (HificTransform, "synthesize")):
        counted(owner, name)
    data = codec().compress(IMAGE)
    assert sorted(calls) == ["analyze", "predict", "synthesize"]
    codec(post_filter=False).compress(IMAGE)
    assert calls[3:] == ["analyze", "predict"], "without flags no pixel is decoded"
    codec().decompress(data)
    assert calls[5:] == ["predict", "synthesize"]


def test_damage_never_passes_and_behind_a_right_checksum_is_an_image_at_most() -> None:
    data, rng, refused = codec().compress(IMAGE), np.random.default_rng(0), 0
    for trial in range(150):
        damaged = corrupted(data, rng)
        if damaged != data:
            with pytest.raises(BitstreamError):
                codec().decompress(damaged)
        if trial % 2:
            continue
        try:
            codec().with_options(max_pixels=10_000).decompress(with_fixed_checksum(damaged))
        except BitstreamError:
            refused += 1
    assert refused > 30


def test_a_files_header_says_whether_flags_end_the_stream() -> None:
    filtered, plain = (unpack(codec(flag).compress(IMAGE), max_pixels=10**6) for flag in (True, False))
    with pytest.raises(BitstreamError):
        codec().decompress(pack(replace(filtered.header, post_filter=False), filtered.stream))
    try:
        data = pack(replace(plain.header, post_filter=True), plain.stream)
        assert codec().decompress(data).tobytes() == codec().decompress(pack(*plain)).tobytes()
    except BitstreamError:
        pass


def test_flags_cost_a_bit_where_no_tile_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: PostFilter, *images: Any) -> np.ndarray[Any, Any]:
        return np.zeros(self.grid(*images[0].shape[:2]), bool)

    monkeypatch.setattr(PostFilter, "flags", none)
    data, plain = codec().compress(IMAGE), codec(post_filter=False).compress(IMAGE)
    assert len(data) - len(plain) <= 1
    assert codec().decompress(data).tobytes() == codec().decompress(plain).tobytes()


def test_state_round_trip() -> None:
    coding = codec().coding
    restored = LatentCoding.from_state(HyperPrior.from_state, coding.description(), coding.state())
    assert restored.post_filter is not None and list(coding.description()) == ["post_filter"]
    other = LearnedCodec(codec().family, codec().model, restored, codec().identity)
    assert other.compress(IMAGE) == codec().compress(IMAGE)
