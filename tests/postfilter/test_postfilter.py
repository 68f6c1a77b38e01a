"""Laws of the post-filter: exact, local to its tile, never further from the original, kept whole in a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import data

from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.errors import CheckpointError, CorruptedError
from hific.fitting.postfilter import PostFilterFit
from hific.postfilter.features import Pixels, PostFilterOptions, window_around
from hific.postfilter.postfilter import PostFilter, code_flags

FIT = PostFilterFit(side=5, tile=32, pixels_per_photo=2048, rounds=4, max_depth=3, min_child_weight=20, num_threads=1)


def blurred(pixels: Pixels) -> Pixels:
    return np.rint(gaussian_filter(pixels.astype(float), (1, 1, 0))).astype(np.uint8)


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    return [np.ascontiguousarray(one[:140, :170]) for one in (data.astronaut(), data.coffee(), data.chelsea())]


@pytest.fixture(scope="module")
def postfilter(photos: list[Pixels]) -> PostFilter:
    return FIT([FIT.patches(index, blurred(photo), photo) for index, photo in enumerate(photos)])


def apply_all(postfilter: PostFilter, decoded: Pixels) -> Pixels:
    return postfilter.apply(decoded, np.ones(postfilter.grid(*decoded.shape[:2]), bool))


def squared_error(one: Pixels, other: Pixels) -> float:
    return float(np.square(one.astype(float) - other).sum())


def test_it_undoes_some_of_a_blur_that_it_was_fitted_to(postfilter: PostFilter) -> None:
    original = np.ascontiguousarray(data.rocket()[:150, :150])
    before = squared_error(blurred(original), original)
    assert squared_error(apply_all(postfilter, blurred(original)), original) < 0.8 * before


def test_chosen_tiles_never_come_out_further(postfilter: PostFilter, photos: list[Pixels]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    for decoded, original in ((blurred(photos[0]), photos[0]), (photos[1], photos[1]), (noise, noise[::-1])):
        flags = postfilter.flags(decoded, original)
        assert flags.shape == postfilter.grid(*original.shape[:2])
        filtered = postfilter.apply(decoded, flags)
        assert squared_error(filtered, original) <= squared_error(decoded, original)
        np.testing.assert_array_equal(postfilter.apply(decoded, np.zeros_like(flags)), decoded)
    assert not postfilter.flags(photos[1], photos[1]).any(), "nothing comes closer than the original"


def test_tiles_do_not_depend_on_each_other(postfilter: PostFilter, photos: list[Pixels]) -> None:
    decoded = blurred(photos[2])
    whole = apply_all(postfilter, decoded)
    for cell in ((0, 0), (2, 3), (4, 5)):
        flags = np.zeros(postfilter.grid(*decoded.shape[:2]), bool)
        flags[cell] = True
        rows, columns = (slice(32 * place, 32 * (place + 1)) for place in cell)
        alone = postfilter.apply(decoded, flags)
        np.testing.assert_array_equal(alone[rows, columns], whole[rows, columns])
        alone[rows, columns] = decoded[rows, columns]
        np.testing.assert_array_equal(alone, decoded)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 2), (31, 65)])
def test_any_size(size: tuple[int, int], postfilter: PostFilter) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    filtered = apply_all(postfilter, pixels)
    assert filtered.shape == pixels.shape and filtered.dtype == np.uint8


def test_a_window_beyond_the_image_repeats_its_edge() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    window = window_around(pixels, slice(0, 2), slice(0, 2), 2)
    np.testing.assert_array_equal(window, np.pad(pixels, ((2, 2), (2, 2), (0, 0)), mode="edge"))


def test_a_checkpoint_keeps_it_whole(postfilter: PostFilter, photos: list[Pixels]) -> None:
    arrays = {name: array.copy() for name, array in postfilter.arrays().items()}
    assert postfilter.description() == {"side": 5, "location": True, "tile": 32}
    again = PostFilter.from_parts(postfilter.description(), arrays)
    np.testing.assert_array_equal(apply_all(again, photos[0]), apply_all(postfilter, photos[0]))


def test_other_corrections_than_when_fitting_are_refused(postfilter: PostFilter) -> None:
    assert len(postfilter.trees) and postfilter.check_corrections.any()
    description, arrays = postfilter.description(), postfilter.arrays()
    with pytest.raises(CheckpointError, match="predicts otherwise"):
        PostFilter.from_parts(description, {**arrays, "check_corrections": postfilter.check_corrections + 1})
    with pytest.raises(ValueError, match="weights"):
        PostFilter.from_parts(description, {**arrays, "weights": postfilter.weights[:, 1:]})
    for name, array in arrays.items():
        with pytest.raises(CheckpointError, match="other types"):
            PostFilter.from_parts(description, {**arrays, name: array.astype(np.float32)})
        with pytest.raises(KeyError):
            PostFilter.from_parts(description, {key: arrays[key] for key in arrays if key != name})
    for name in description:
        with pytest.raises(CheckpointError, match="other types"):
            PostFilter.from_parts({**description, name: "7"}, arrays)
        with pytest.raises(KeyError):
            PostFilter.from_parts({key: description[key] for key in description if key != name}, arrays)


def test_fitting_twice_gives_the_same(photos: list[Pixels], postfilter: PostFilter) -> None:
    again = FIT([FIT.patches(index, blurred(photo), photo) for index, photo in enumerate(photos)])
    for name, array in postfilter.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_wrong_options_are_told() -> None:
    for options in ({"side": 4}, {"side": 11}, {"tile": 8}):
        with pytest.raises(ValueError, match="must be 3, 5, 7 or 9"):
            PostFilterOptions(**options)
    with pytest.raises(ValueError, match="rounds"):
        PostFilterFit(rounds=-1)
    with pytest.raises(ValueError, match="two photos"):
        FIT([])


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 1.0]))
@settings(max_examples=30)
def test_flags_come_back_and_take_a_bit_a_tile(rows: int, columns: int, seed: int, share: float) -> None:
    flags = np.random.default_rng(seed).random((rows, columns)) < share
    encoder = RangeEncoder()
    np.testing.assert_array_equal(code_flags(encoder, flags), flags)
    stream = encoder.get_bytes()
    assert len(stream) <= (1 + (flags.size if flags.any() else 0)) / 8 + 1
    decoder = RangeDecoder(stream)
    np.testing.assert_array_equal(code_flags(decoder, np.zeros_like(flags)), flags)
    decoder.finish()


def test_other_flags_than_are_written_are_refused() -> None:
    """That there are some, and then none."""
    encoder = RangeEncoder()
    encoder.code_bits(np.array([1] + 6 * [0], np.int32))
    with pytest.raises(CorruptedError, match="tile flags"):
        code_flags(RangeDecoder(encoder.get_bytes()), np.zeros((2, 3), bool))


def test_a_tile_is_flagged_where_it_comes_closer() -> None:
    """Fitted to photos that are 8 levels too dark: it brightens, which one tile needs and the rest does not."""
    rng = np.random.default_rng(0)
    fit = PostFilterFit(side=3, tile=16, rounds=0, pixels_per_photo=256)
    photos = [rng.integers(60, 180, (32, 32, 3), dtype=np.uint8) for _ in range(3)]
    linear = fit([fit.patches(index, photo, photo + 8) for index, photo in enumerate(photos)])
    decoded = rng.integers(60, 180, (50, 35, 3), dtype=np.uint8)
    original = decoded.copy()
    original[:16, 16:32] += 8
    flags = linear.flags(decoded, original)
    assert flags.tolist() == [[False, True, False], [False] * 3, [False] * 3, [False] * 3]
    assert squared_error(linear.apply(decoded, flags), original) < 0.5 * squared_error(decoded, original)
