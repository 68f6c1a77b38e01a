"""HiFiC's networks in a codec: tiles equal the whole image, integer means are the networks', files cost what is
estimated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import photo
from small_codecs import difference, same_latent, wake

from hific.codecs.hific import HificTransform
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.errors import TooLargeError

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., LearnedCodec]


@pytest.fixture
def codec(make_codec: MakeCodec) -> LearnedCodec:
    return make_codec("hific")


def test_means_of_the_integer_path_are_the_networks(codec: LearnedCodec) -> None:
    image = torch.from_numpy(photo(9 * 16, 12 * 16)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        latent = codec.model.analyze(image)
        hyperprior = codec.model.predict(latent)
    hyper_symbols = hyperprior.hyper_latent[0].round().int().numpy()
    means = codec.coding.prior.predict(hyper_symbols, 12, 9).means
    scale = float(hyperprior.means.abs().max())
    assert np.abs(means - hyperprior.means[0].numpy()).max() < 2e-3 * max(1.0, scale)


NETWORKS: dict[str, dict[str, object]] = {
    **{kind: {"normalization": kind, "residual_blocks": 2} for kind in ("channel", "batch", "none")},
    "patch": {"transform": "patch", "widths": (8, 12), "residual_blocks": (1, 2), "normalization": "none"},
}


@pytest.mark.parametrize("networks", NETWORKS)
@pytest.mark.parametrize("tile", [16, 48, 100])
def test_tiles_equal_the_whole(make_hific_checkpoint: MakeCheckpoint, tile: int, networks: str) -> None:
    path = make_hific_checkpoint(**NETWORKS[networks])
    whole, tiled = (wake(load_codec(path, tile=size)) for size in (0, tile))
    image = photo(230, 170)
    latents = [codec.analyze([image])[0].latent for codec in (whole, tiled)]
    assert np.allclose(*latents, atol=1e-4)
    data = whole.compress(image)
    assert same_latent(whole, tiled, data) and difference(whole, tiled, data) <= 1
    assert np.asarray(whole.decompress(data)).std() > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (333, 217)])
def test_tiles_make_the_same_file_unless_they_move_a_latent_across_a_half(
    make_context: MakeCheckpoint, size: tuple[int, int]
) -> None:
    """By either coder, of which the symbols are the same."""
    image = photo(*size)
    whole, tiled = (load_codec(make_context("knn"), tile=tile) for tile in (0, 48))
    for coder in whole.coding.coders:
        data, data_of_tiles = (codec.with_options(coder=coder).compress(image) for codec in (whole, tiled))
        symbols, symbols_of_tiles = (whole.decode_latent(one).symbols for one in (data, data_of_tiles))
        assert np.mean(symbols != symbols_of_tiles) < 1e-3
        assert (data == data_of_tiles) == np.array_equal(symbols, symbols_of_tiles)


@pytest.mark.parametrize("size", [(1, 1), (37, 21), (33, 50)])
def test_what_is_padded_repeats_the_edge(codec: LearnedCodec, size: tuple[int, int]) -> None:
    """A file has the latents of the photo with its last column and row repeated up to whole latents."""
    image = photo(*size)
    width, height = (-(-side // 16) * 16 for side in size)
    rows, columns = np.minimum(np.arange(height), size[1] - 1), np.minimum(np.arange(width), size[0] - 1)
    whole = image[rows][:, columns]
    (source,), (padded,) = codec.analyze([image]), codec.analyze([whole])
    np.testing.assert_array_equal(source.latent, padded.latent)
    np.testing.assert_array_equal(source.hyper_symbols, padded.hyper_symbols)
    mirrored = np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0)), mode="symmetric")
    if min(size) > 1:
        assert not np.array_equal(codec.analyze([mirrored])[0].latent, source.latent)


def test_the_halo_is_as_wide_as_what_the_networks_see(codec: LearnedCodec) -> None:
    """Beyond it nothing changes, to the bit; and a narrower one would not do."""
    model, halo, reached = codec.model.double(), codec.model.synthesis.halo, []
    image = torch.rand(1, 3, 16, 16 * 12).double()
    changed = image.clone()
    changed[..., : 16 * 8 - model.analysis.halo] += 1
    with torch.inference_mode():
        before, after = model.analysis(image), model.analysis(changed)
        assert torch.equal(before[..., 8:], after[..., 8:])
        changed[..., : 16 * 8 - model.analysis.halo + 16] += 1
        assert not torch.equal(before[..., 8:], model.analysis(changed)[..., 8:])
        latent = torch.randn(1, 4, 1, 3 * halo).double()
        pixels = model.synthesis(latent)
        for start, stop in ((0, halo), (2 * halo, 3 * halo)):
            changed = latent.clone()
            changed[..., start:stop] = torch.randn_like(changed[..., start:stop])  # a constant ChannelNorm would remove
            others = model.synthesis(changed)
            differs = (pixels != others).flatten(0, 2).any(0).nonzero()
            reached.append(16 * start - int(differs.min()) if start else int(differs.max()) + 1 - 16 * stop)
    assert 16 * (halo - 1) < max(reached) <= 16 * halo


def test_instance_norm_is_coded_whole(make_hific_checkpoint: MakeCheckpoint) -> None:
    codec = load_codec(make_hific_checkpoint(normalization="instance"), tile=32)
    assert isinstance(codec.transform, HificTransform) and codec.transform.tile == 0
    assert codec.max_pixels == 4_000_000
    with pytest.raises(TooLargeError):
        codec.check_size(4000, 2000)


def test_progress_is_told_by_tile(codec: LearnedCodec) -> None:
    told: list[tuple[int, int]] = []
    tiled = codec.with_options(tile=64)
    tiled.progress = lambda done, total: told.append((done, total))
    data = tiled.compress(photo(128, 64))
    assert told == [(1, 2), (2, 2)]
    tiled.decompress(data)
    assert told == [(1, 2), (2, 2)] * 2
    tiled.with_options(max_pixels=10_000).decompress(data)
    assert len(told) == 6, "other options keep whom to tell"


def test_a_file_is_hardly_larger_than_its_estimate(make_hific_checkpoint: MakeCheckpoint) -> None:
    """1 % and 24 bytes, at several rates (trained models: experiments/hific_small)."""
    image = photo(384, 256)
    for deviation in (1.0, 4.0, 20.0):
        codec = load_codec(make_hific_checkpoint(f"{deviation}.ckpt", deviation=deviation))
        (variant,) = codec.variants()
        assert variant.extra_metrics is not None
        estimate = variant.extra_metrics(image)["estimated_bpp"] * 384 * 256 / 8
        num_bytes = len(variant.codec.compress(image))
        assert num_bytes <= 1.01 * estimate + 24, (deviation, num_bytes, estimate)
