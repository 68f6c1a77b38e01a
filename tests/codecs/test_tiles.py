"""Tiles cover the whole once, and what they look at is cut where the image ends."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hific.codecs.hific import spans, tiles


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
