from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hific.metrics.frechet import cut_patches, patch_corners


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [(512, 768, 6 + 2), (255, 4000, 0), (256, 256, 1), (383, 1000, 3), (384, 384, 1 + 1), (1365, 2048, 5 * 8 + 4 * 7)],
)
def test_counts(height: int, width: int, count: int) -> None:
    assert len(patch_corners(height, width)) == count


@given(height=st.integers(1, 900), width=st.integers(1, 900))
def test_patches_lie_inside_and_each_grid_is_disjoint(height: int, width: int) -> None:
    corners = patch_corners(height, width)
    assert len(set(corners)) == len(corners)
    assert all(0 <= y <= height - 256 and 0 <= x <= width - 256 for y, x in corners)
    assert all(y % 256 == x % 256 and y % 128 == 0 for y, x in corners)


def test_patches_are_cut_where_the_corners_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (520, 530, 3), dtype=np.uint8)
    patches = cut_patches(image)
    assert patches.shape == (5, 3, 256, 256)
    for patch, (y, x) in zip(patches.numpy(), patch_corners(520, 530), strict=True):
        assert np.array_equal(patch.transpose(1, 2, 0), image[y : y + 256, x : x + 256])
    assert cut_patches(image[:100]).shape == (0, 3, 256, 256)
