"""Laws of causal contexts: what they show, and when."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from context_cases import CHANNELS, any_latent, laplace_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hific.context.causal_context import UNIT, VALUE_LIMIT, CausalContext, ContextOptions
from hific.context.coding_order import CodingPass
from hific.context.symbol_bins import expected_magnitudes

EXPECTED = expected_magnitudes(laplace_tables())
WIDTHS = np.array([1, 1, 3, 11], np.int32)
EVERYWHERE = (slice(None),) * 3
OPTIONS = [
    ContextOptions(CHANNELS, 2, "phases", 1, 5, True),
    ContextOptions(CHANNELS, 5, "channels", 2, 3, False),
    ContextOptions(CHANNELS, 3, "phases", 0, 1, True),
    ContextOptions(CHANNELS, 1, "channels", 3, 7, False),
]


def places_of(coding_pass: CodingPass, height: int, width: int) -> list[tuple[int, int, int]]:
    """(channel, row, column) of each symbol of a pass, in its order."""
    index = np.indices((CHANNELS, height, width))[(slice(None), *coding_pass.place)]
    return [tuple(place) for place in index.reshape(3, -1).T.tolist()]


def ranks_of(options: ContextOptions, height: int, width: int) -> NDArray[np.int64]:
    """The pass of each symbol, int [C, h, w]."""
    ranks = np.empty((CHANNELS, height, width), np.int64)
    for coding_pass in options.passes:
        ranks[coding_pass.place] = coding_pass.index
    return ranks


def inner(coding_pass: CodingPass, options: ContextOptions, row: int, column: int) -> int:
    """How many channels are known at an offset in units, by the passes of a latent large enough that no border says
    anything."""
    ranks = ranks_of(options, 48, 48)
    rows, columns = (
        np.arange(48)[part][np.arange(48)[part] // 8 == 3] + offset * coding_pass.unit
        for part, offset in zip(coding_pass.place[1:], (row, column), strict=True)
    )
    earlier = (ranks[:, rows[:, None], columns] < coding_pass.index).all(axis=(1, 2))
    return int(earlier.sum())


def growing(options: ContextOptions, symbols: NDArray[np.int32], table_ids: NDArray[np.int32]) -> Any:
    """(pass, context in which only earlier passes are known) of each pass."""
    context = CausalContext(options, table_ids[None], EXPECTED, WIDTHS)
    for coding_pass in options.passes:
        yield coding_pass, context
        part = symbols[coding_pass.place][None]
        context.put(coding_pass.place, part, np.ones(part.shape, bool))


@pytest.mark.parametrize("options", OPTIONS)
@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 7))
@settings(max_examples=8, deadline=None)
def test_features_are_those_of_a_reference(options: ContextOptions, seed: int, height: int, width: int) -> None:
    symbols, table_ids = any_latent(seed, height, width)
    rng = np.random.default_rng(seed)
    reach = options.side // 2
    for coding_pass, context in growing(options, symbols, table_ids):
        places = places_of(coding_pass, height, width)
        if not places:
            continue
        chosen = rng.random(len(places)) < 0.6
        taken = [place for place, is_taken in zip(places, chosen, strict=True) if is_taken]
        value, residual = rng.integers(-50_000, 50_000, (2, len(taken))).astype(np.int32)
        shape = (1, *symbols[coding_pass.place].shape)
        features = context.features(coding_pass, chosen.reshape(shape), value, residual)
        assert features.dtype == np.int16 and features.shape == (len(taken), options.num_features)
        known = {offset: inner(coding_pass, options, *offset) for offset in options.offsets(reach)}
        for index, (channel, y, x) in enumerate(taken):
            bin_width = int(WIDTHS[table_ids[channel, y, x]])
            expected = [table_ids[channel, y, x]]
            expected += [np.clip(int(one) // bin_width, -(2**15), 2**15 - 1) for one in (value[index], residual[index])]
            expected += [coding_pass.index]
            if options.location:
                expected += [channel, y * 256 // height, x * 256 // width]
            for row in range(-reach, reach + 1):
                for column in range(-reach, reach + 1):
                    if (row, column) == (0, 0):
                        continue
                    there = y + row * coding_pass.unit, x + column * coding_pass.unit
                    inside = 0 <= there[0] < height and 0 <= there[1] < width
                    seen = inside and known[row, column] >= coding_pass.end
                    neighbor = np.clip(symbols[channel, *there], -VALUE_LIMIT, VALUE_LIMIT) if seen else 0
                    # The nearest number of widths, of which there are no ties.
                    expected.append(math.floor(int(neighbor) / bin_width + 0.5))
            assert features[index].tolist() == [int(one) for one in expected]


@pytest.mark.parametrize("options", OPTIONS)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=8, deadline=None)
def test_rows_are_what_known_channels_hold(options: ContextOptions, seed: int, height: int, width: int) -> None:
    symbols, table_ids = any_latent(seed, height, width)
    values = np.clip(symbols, -VALUE_LIMIT, VALUE_LIMIT)
    truth = {"values": values, "magnitude_residuals": np.abs(values) * UNIT - EXPECTED[table_ids]}
    for coding_pass, context in growing(options, symbols, table_ids):
        points = [place[1:] for place in places_of(coding_pass, height, width) if place[0] == coding_pass.first]
        for neighbor in options.neighbors(coding_pass):
            row, column, known = neighbor
            assert known == (coding_pass.first if (row, column) == (0, 0) else inner(coding_pass, options, row, column))
            for source, numbers in truth.items():
                rows = context.rows(source, coding_pass, neighbor)  # type: ignore[arg-type]
                assert rows.shape == (known, len(points)) and rows.dtype == np.float64
                for point, (y, x) in enumerate(points):
                    there = y + row * coding_pass.unit, x + column * coding_pass.unit
                    inside = 0 <= there[0] < height and 0 <= there[1] < width
                    expected = numbers[:known, there[0], there[1]].tolist() if inside else [0] * known
                    assert rows[:, point].tolist() == expected


@pytest.mark.parametrize("options", OPTIONS)
def test_a_full_context_shows_what_one_being_filled_does(options: ContextOptions) -> None:
    """So what is fitted to whole latents holds while decoding."""
    symbols, table_ids = any_latent(3, 9, 6)
    full = CausalContext(options, table_ids[None], EXPECTED, WIDTHS)
    full.put(EVERYWHERE, symbols[None], np.ones((1, *symbols.shape), bool))
    for coding_pass, context in growing(options, symbols, table_ids):
        chosen = np.ones((1, *symbols[coding_pass.place].shape), bool)
        numbers = np.zeros(chosen.sum(), np.int32)
        both = [one.features(coding_pass, chosen, numbers, numbers) for one in (full, context)]
        np.testing.assert_array_equal(*both)
        for neighbor in options.neighbors(coding_pass):
            for source in ("values", "magnitude_residuals"):
                both_rows = [one.rows(source, coding_pass, neighbor) for one in (full, context)]  # type: ignore[arg-type]
                np.testing.assert_array_equal(*both_rows)


def test_only_what_is_put_is_known() -> None:
    options = OPTIONS[0]
    symbols, table_ids = any_latent(4, 5, 7)
    values = np.clip(symbols, -VALUE_LIMIT, VALUE_LIMIT)
    residual = np.abs(values) * UNIT - EXPECTED[table_ids]
    context = CausalContext(options, table_ids[None], EXPECTED, WIDTHS)
    every = CodingPass(0, 0, 0, CHANNELS)
    known = np.zeros(symbols.shape, bool)
    rng = np.random.default_rng(0)
    for _ in range(3):
        chosen = rng.random(symbols.shape) < 0.3
        context.put(EVERYWHERE, np.where(chosen, symbols, 99)[None], chosen[None])
        known |= chosen
        for source, numbers in (("values", values), ("magnitude_residuals", residual)):
            rows = context.rows(source, every, (0, 0, CHANNELS))  # type: ignore[arg-type]
            expected = np.where(known, numbers, 0)[every.place].reshape(CHANNELS, -1)
            np.testing.assert_array_equal(rows, expected)


def test_several_latents_lie_side_by_side() -> None:
    options = OPTIONS[0]
    latents = [any_latent(seed, 6, 5) for seed in range(3)]
    together = CausalContext(options, np.stack([one.table_ids for one in latents]), EXPECTED, WIDTHS)
    stacked = np.stack([one.symbols for one in latents])
    together.put(EVERYWHERE, stacked, np.ones(stacked.shape, bool))
    alone = []
    for latent in latents:
        alone.append(CausalContext(options, latent.table_ids[None], EXPECTED, WIDTHS))
        alone[-1].put(EVERYWHERE, latent.symbols[None], np.ones((1, *latent.symbols.shape), bool))
    for coding_pass in options.passes:
        for neighbor in options.neighbors(coding_pass):
            rows = [one.rows("values", coding_pass, neighbor) for one in alone]
            np.testing.assert_array_equal(together.rows("values", coding_pass, neighbor), np.concatenate(rows, axis=1))


def test_options_that_cannot_be_are_refused() -> None:
    for wrong in ({"num_groups": 0}, {"num_groups": 6}, {"order": "rows"}, {"reach": -1}, {"reach": 5}, {"side": 2}):
        with pytest.raises(ValueError, match=r"groups|reach|side"):
            ContextOptions(CHANNELS, **wrong)  # type: ignore[arg-type]
