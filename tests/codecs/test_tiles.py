"""Tiles cover the whole once, and what they look at is cut where the image ends; the shipped CompressNet's (HiFiC's:
test_hific.py)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from skimage import data as photos

from hific.codecs.load import load_codec
from hific.codecs.tiling import spans, tiles


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 30))
def test_spans_cover_a_length_once(length: int, tile: int, halo: int) -> None:
    covered = np.zeros(length, int)
    for span in spans(length, tile, halo):
        covered[span.place(1)] += 1
        assert 0 < span.stop - span.start <= tile
        assert span.first == max(0, span.start - halo) and span.last == min(length, span.stop + halo)
    assert (covered == 1).all()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(0, 8), st.sampled_from([1, 16]))
def test_a_pointwise_network_gives_the_whole(height: int, width: int, tile: int, halo: int, unit: int) -> None:
    whole = np.random.default_rng(0).integers(0, 99, (height * unit, width * unit))
    result = np.zeros_like(whole)
    for rows, columns in tiles(height, width, tile, halo):
        seen = whole[rows.seen(unit), columns.seen(unit)]
        result[rows.place(unit), columns.place(unit)] = seen[rows.kept(unit), columns.kept(unit)]
    assert np.array_equal(result, whole)


def test_a_local_compressnet_in_tiles_is_the_whole() -> None:
    """Levels but for those at the edge of two, pixels but for rounding; the search too finds better ones in tiles."""
    image = np.ascontiguousarray(photos.astronaut()[90:266, 130:322])
    whole, tiled = (load_codec("compressnet-high", tile=tile) for tile in (0, 48))
    assert whole.max_pixels == 1 << 28
    told: list[tuple[int, int]] = []
    tiled.progress = lambda done, total: told.append((done, total))
    (latent,), (latent_of_tiles,) = (codec.analyze([image]) for codec in (whole, tiled))
    assert told == [(done, 16) for done in range(1, 17)]
    assert np.mean(latent.latent != latent_of_tiles.latent) < 1e-3
    file = tiled.with_options(effort=8).compress(image)
    decoded, decoded_in_tiles = (np.asarray(codec.decompress(file)).astype(int) for codec in (whole, tiled))
    assert np.abs(decoded - decoded_in_tiles).max() <= 1
    plain = np.asarray(whole.decompress(tiled.compress(image))).astype(int)
    assert np.square(decoded - image).mean() < np.square(plain - image).mean()
