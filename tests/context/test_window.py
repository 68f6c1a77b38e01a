"""Laws of windows and features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hific.context.coding_order import coding_order, is_known
from hific.context.window import Canvas, causal_window, margin_for

LEVELS = 5


@pytest.mark.parametrize(("own_reach", "cross_reach"), [(0, 0), (3, 2), (1, 3)])
def test_a_window_holds_all_known_neighbors_in_reach_and_no_other(own_reach: int, cross_reach: int) -> None:
    for step in coding_order(3):
        window = causal_window(step, 3, own_reach, cross_reach)
        unit = step.spacing // 2
        expected = {
            (channel, row * unit, column * unit)
            for channel in range(3)
            for row in range(-3, 4)
            for column in range(-3, 4)
            if abs(row) + abs(column) <= (own_reach if channel == step.channel else cross_reach)
            and is_known(step, channel, row * unit, column * unit)
        }
        assert len(window) == len(expected)
        assert set(window) == expected


def test_the_first_pass_knows_nothing_and_the_others_something() -> None:
    first, *others = (causal_window(step, 2, 3, 2) for step in coding_order(2))
    assert first == ()
    assert all(others)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=25)
def test_features_are_the_centered_neighbors(height: int, width: int, num_images: int, seed: int) -> None:
    latents = np.random.default_rng(seed).integers(0, LEVELS, (num_images, 2, height, width))
    for step in coding_order(2):
        window = causal_window(step, 2, 3, 2)
        canvas = Canvas.filled(latents, LEVELS, margin_for([window]))
        expected = []
        for latent in latents:
            for y in range(step.row, height, step.spacing):
                for x in range(step.column, width, step.spacing):
                    places = [(channel, y + row, x + column) for channel, row, column in window]
                    inside = [0 <= row < height and 0 <= column < width for _, row, column in places]
                    levels = [
                        latent[place] - LEVELS // 2 if known else 0 for place, known in zip(places, inside, strict=True)
                    ]
                    expected.append([*levels, inside.count(False)])
        features = canvas.features(step, window)
        np.testing.assert_array_equal(features, np.array(expected, int).reshape(-1, len(window) + 1))
        np.testing.assert_array_equal(
            canvas.take(step), latents[:, step.channel, step.row :: step.spacing, step.column :: step.spacing].ravel()
        )


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=25)
def test_a_canvas_being_filled_shows_what_a_full_one_does(height: int, width: int, seed: int) -> None:
    """So tables counted on whole latents hold while decoding."""
    latents = np.random.default_rng(seed).integers(0, LEVELS, (1, 2, height, width)).astype(np.int32)
    windows = [causal_window(step, 2, 3, 2) for step in coding_order(2)]
    full = Canvas.filled(latents, LEVELS, margin_for(windows))
    growing = Canvas(latents.shape, LEVELS, margin_for(windows))
    for step, window in zip(coding_order(2), windows, strict=True):
        np.testing.assert_array_equal(growing.features(step, window), full.features(step, window))
        growing.put(step, full.take(step))
    np.testing.assert_array_equal(growing.latents(), latents)
