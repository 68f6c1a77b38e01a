from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import color, data_dir, exposure

from hific.data.transforms import RandomCrop, _shrink, center_crop, equalize_lightness


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """Red is the column, green the row: a crop tells where it is from and at which scale."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    return image


@settings(max_examples=200, deadline=None)
@given(
    crop=st.integers(1, 32),
    extra=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    scales=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    seed=st.integers(0, 2**32),
)
def test_a_crop_has_its_size_whatever_the_photo_and_scale(
    crop: int, extra: tuple[int, int], scales: tuple[float, float], seed: int
) -> None:
    transform = RandomCrop(crop, min(scales), max(scales))
    image = noise(crop + extra[0], crop + extra[1])
    once, again = (transform(image, np.random.default_rng(seed)) for _ in range(2))
    assert once.shape == (crop, crop, 3) and once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)


def test_at_full_scale_a_crop_is_a_window_of_the_photo_and_reaches_every_corner() -> None:
    image, transform = ramp(20, 24), RandomCrop(16, flip=False)
    corners = set()
    for seed in range(400):
        crop = transform(image, np.random.default_rng(seed))
        left, top = int(crop[0, 0, 0]), int(crop[0, 0, 1])
        np.testing.assert_array_equal(crop, image[top : top + 16, left : left + 16])
        corners.add((top, left))
    assert corners == {(top, left) for top in range(5) for left in range(9)}


def test_half_of_the_crops_are_mirrored_left_to_right_and_none_upside_down() -> None:
    image, transform = ramp(32, 32), RandomCrop(16)
    crops = [transform(image, np.random.default_rng(seed)).astype(int) for seed in range(400)]
    mirrored = sum(crop[0, 0, 0] > crop[0, -1, 0] for crop in crops)
    assert 150 < mirrored < 250
    assert all(crop[0, 0, 1] < crop[-1, 0, 1] for crop in crops)


def test_a_mirror_says_nothing_of_the_place() -> None:
    """Nor the place of the mirror: half of the crops of either side and of either end are mirrored."""
    image, transform = ramp(32, 32), RandomCrop(16)
    crops = [transform(image, np.random.default_rng(seed)).astype(int) for seed in range(800)]
    mirrored = np.array([crop[0, 0, 0] > crop[0, -1, 0] for crop in crops])
    lefts, tops = (np.array([crop[..., channel].min() for crop in crops]) for channel in (0, 1))
    for place in (lefts, tops):
        for some in (place < 8, place > 8):
            assert some.sum() > 300 and 0.4 < mirrored[some].mean() < 0.6


def measured_scale(crop: NDArray[np.uint8]) -> float:
    return float((len(crop) - 9) / (int(crop[-5, 0, 1]) - int(crop[4, 0, 1])))


def test_scales_fill_their_range() -> None:
    transform = RandomCrop(64, 0.5, 0.75, flip=False)
    scales = [measured_scale(transform(ramp(250, 250), np.random.default_rng(seed))) for seed in range(300)]
    assert 0.48 < min(scales) < 0.53 and 0.72 < max(scales) < 0.77
    assert np.mean(scales) == pytest.approx(0.625, abs=0.02)


def test_a_photo_is_never_shrunk_below_the_crop() -> None:
    for seed in range(50):
        crop = RandomCrop(64, 0.1, 0.2, flip=False)(ramp(80, 200), np.random.default_rng(seed))
        assert measured_scale(crop) == pytest.approx(64 / 80, abs=0.03)
        assert int(crop[0, 0, 1]) <= 1 and int(crop[-1, 0, 1]) >= 78  # all rows are in it


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 0.99), st.integers(20, 200))
def test_a_window_is_what_resampling_the_whole_photo_gives_there(
    down: float, right: float, scale: float, height: int
) -> None:
    """The margin around the window holds all that the kernel sees; +-1 for the rounding of its coefficients."""
    image, side = noise(height, 160), min(16 / scale, float(min(height, 160)))
    top, left = down * (height - side), right * (160 - side)
    box = (left, top, min(left + side, 160), min(top + side, height))
    whole = np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC, box=box))
    window = _shrink(image, top, left, side, 16)
    assert np.abs(window.astype(int) - whole.astype(int)).max() <= 1


def test_stripes_too_fine_for_the_scale_turn_grey_instead_of_aliasing() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = RandomCrop(64, 0.4, 0.4)(stripes, np.random.default_rng(0)).astype(float)
    assert crop.std() < 8 and abs(crop.mean() - 127.5) < 4


def test_impossible_settings_are_refused() -> None:
    for bad in ((0, 1.0, 1.0), (8, 0.0, 1.0), (8, 0.9, 0.5), (8, 1.0, 1.5)):
        with pytest.raises(ValueError):
            RandomCrop(*bad)
    with pytest.raises(ValueError, match="40x20"):
        RandomCrop(24)(noise(20, 40), np.random.default_rng(0))


def test_center_crop_takes_the_middle_and_at_most_all() -> None:
    image = noise(30, 41)
    np.testing.assert_array_equal(center_crop(image, 20), image[5:25, 10:30])
    assert center_crop(image, 35).shape == (30, 35, 3)
    assert center_crop(image, None) is image


def test_equalizing_spreads_lightness_and_keeps_hue() -> None:
    flat = (noise(96, 128) // 8 + 100).astype(np.uint8)
    flat[..., 0] += 40
    equalized = equalize_lightness(flat)
    assert equalized.shape == flat.shape and equalized.dtype == np.uint8
    assert equalized.std() > 1.3 * flat.std()
    redness = [image[..., 0].astype(float).mean() - image[..., 2].astype(float).mean() for image in (flat, equalized)]
    assert redness[1] == pytest.approx(redness[0], rel=0.25)


def test_equalizing_agrees_with_a_second_implementation() -> None:
    """What is added to the lightness is what scikit-image's CLAHE adds, as far as clipping and binning rules differ."""
    image = np.asarray(Image.open(f"{data_dir}/astronaut.png"))
    lab = color.rgb2lab(image)
    # OpenCV's limit of 2.0 is in mean bin counts of a tile, scikit-image's in the tile's pixels, with 256 bins.
    theirs = 100 * exposure.equalize_adapthist(lab[..., 0] / 100, kernel_size=64, clip_limit=2 / 256) - lab[..., 0]
    ours = color.rgb2lab(equalize_lightness(image))[..., 0] - lab[..., 0]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.97
    assert np.abs(ours - theirs).mean() < 0.3 * np.abs(theirs).mean()
