"""Laws of the postfilter: exact, local to its tile, never further from the original, kept whole in a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from hific.errors import CheckpointError
from hific.fitting.postfilter import PostFilterFit
from hific.postfilter.features import Pixels, PostFilterOptions, window_around
from hific.postfilter.postfilter import PostFilter

FIT = PostFilterFit(side=5, tile=32, pixels_per_photo=2048, rounds=4, max_depth=3, min_child_weight=20, num_threads=1)


def blurred(pixels: Pixels) -> Pixels:
    return np.rint(gaussian_filter(pixels.astype(float), (1, 1, 0))).astype(np.uint8)


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    return [np.ascontiguousarray(one[:140, :170]) for one in (data.astronaut(), data.coffee(), data.chelsea())]


@pytest.fixture(scope="module")
def postfilter(photos: list[Pixels]) -> PostFilter:
    return FIT([FIT.patches(index, blurred(photo), photo) for index, photo in enumerate(photos)])


def squared_error(one: Pixels, other: Pixels) -> float:
    return float(np.square(one.astype(float) - other).sum())


def test_it_undoes_some_of_a_blur_that_it_was_fitted_to(postfilter: PostFilter) -> None:
    original = np.ascontiguousarray(data.rocket()[:150, :150])
    before = squared_error(blurred(original), original)
    assert squared_error(postfilter.refine(blurred(original)), original) < 0.8 * before


def test_chosen_tiles_never_come_out_further(postfilter: PostFilter, photos: list[Pixels]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    for reconstruction, original in ((blurred(photos[0]), photos[0]), (photos[1], photos[1]), (noise, noise[::-1])):
        flags = postfilter.choose(reconstruction, original)
        assert flags.shape == postfilter.grid(*original.shape[:2])
        refined = postfilter.apply(reconstruction, flags)
        assert squared_error(refined, original) <= squared_error(reconstruction, original)
        np.testing.assert_array_equal(postfilter.apply(reconstruction, np.zeros_like(flags)), reconstruction)
    assert not postfilter.choose(photos[1], photos[1]).any(), "nothing comes closer than the original"


def test_tiles_do_not_depend_on_each_other(postfilter: PostFilter, photos: list[Pixels]) -> None:
    reconstruction = blurred(photos[2])
    whole = postfilter.refine(reconstruction)
    for cell in ((0, 0), (2, 3), (4, 5)):
        flags = np.zeros(postfilter.grid(*reconstruction.shape[:2]), bool)
        flags[cell] = True
        rows, columns = (slice(32 * place, 32 * (place + 1)) for place in cell)
        alone = postfilter.apply(reconstruction, flags)
        np.testing.assert_array_equal(alone[rows, columns], whole[rows, columns])
        alone[rows, columns] = reconstruction[rows, columns]
        np.testing.assert_array_equal(alone, reconstruction)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (31, 65)])
def test_any_size(size: tuple[int, int], postfilter: PostFilter) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    refined = postfilter.refine(pixels)
    assert refined.shape == pixels.shape and refined.dtype == np.uint8


def test_a_window_beyond_the_image_repeats_its_edge() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    window = window_around(pixels, slice(0, 2), slice(0, 2), 2)
    np.testing.assert_array_equal(window, np.pad(pixels, ((2, 2), (2, 2), (0, 0)), mode="edge"))


def test_a_checkpoint_keeps_it_whole(postfilter: PostFilter, photos: list[Pixels]) -> None:
    again = PostFilter.from_state({name: array.copy() for name, array in postfilter.state().items()})
    np.testing.assert_array_equal(again.refine(photos[0]), postfilter.refine(photos[0]))


def test_other_corrections_than_when_fitting_are_refused(postfilter: PostFilter) -> None:
    assert len(postfilter.model) and postfilter.check_corrections.any()
    state = {**postfilter.state(), "check_corrections": postfilter.check_corrections + 1}
    with pytest.raises(CheckpointError, match="predicts otherwise"):
        PostFilter.from_state(state)
    with pytest.raises(ValueError, match="weights"):
        PostFilter.from_state({**postfilter.state(), "weights": postfilter.weights[:, 1:]})


def test_fitting_twice_gives_the_same(photos: list[Pixels], postfilter: PostFilter) -> None:
    again = FIT([FIT.patches(index, blurred(photo), photo) for index, photo in enumerate(photos)])
    for name, array in postfilter.state().items():
        np.testing.assert_array_equal(again.state()[name], array)


def test_wrong_options_are_told() -> None:
    for options in ({"side": 4}, {"side": 11}, {"tile": 8}):
        with pytest.raises(ValueError, match="is 3, 5, 7 or 9"):
            PostFilterOptions(**options)
    with pytest.raises(ValueError, match="rounds"):
        PostFilterFit(rounds=-1)
    with pytest.raises(ValueError, match="two photos"):
        FIT([])
