"""Laws of the linear prediction and its fit."""

from __future__ import annotations

import numpy as np
import pytest
from context_cases import CHANNELS, any_latent, laplace_tables, latent_of, same_state
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hific.context.causal_context import UNIT, CausalContext, ContextOptions, Source
from hific.context.coding_order import CodingPass, Order
from hific.context.linear_prediction import WEIGHT_BITS, LinearPrediction, PredictionMoments, weight_shape
from hific.context.symbol_bins import expected_magnitudes
from hific.fitting.context_model import TrainingLatent

EXPECTED = expected_magnitudes(laplace_tables())
SOURCES: tuple[Source, ...] = ("values", "magnitude_residuals")


def full(options: ContextOptions, latent: TrainingLatent) -> CausalContext:
    """All is known; the passes see what comes before them only."""
    context = CausalContext(options, latent.table_ids[None], EXPECTED, np.ones_like(EXPECTED))
    context.put((slice(None),) * 3, latent.symbols[None], np.ones((1, *latent.symbols.shape), bool))
    return context


def any_prediction(options: ContextOptions, seed: int) -> LinearPrediction:
    rng = np.random.default_rng(seed)
    total = sum(int(np.prod(weight_shape(options, coding_pass))) for coding_pass in options.passes)
    return LinearPrediction(options, *(rng.integers(-(2**15), 2**15, (2, total)).astype(np.int16)))


def fit(options: ContextOptions, latents: list[TrainingLatent]) -> LinearPrediction:
    return PredictionMoments.of(options, [full(options, latent) for latent in latents]).solve()


def exact_expected(
    prediction: LinearPrediction, source: Source, coding_pass: CodingPass, context: CausalContext
) -> tuple[NDArray[np.int64], int]:
    """Sums of integers [channels, n], and the bits of their fraction."""
    rows = [
        context.rows(source, coding_pass, one).astype(np.int64) for one in prediction.options.neighbors(coding_pass)
    ]
    sums = prediction.weights(source, coding_pass).astype(np.int64) @ np.concatenate(rows)
    return sums * (UNIT if source == "values" else 1), WEIGHT_BITS


@pytest.mark.parametrize("order", ["phases", "channels"])
@pytest.mark.parametrize(("groups", "reach"), [(1, 0), (2, 1), (5, 2)])
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=6, deadline=None)
def test_expected_is_the_rounded_sum_of_integers(
    groups: int, reach: int, order: Order, seed: int, height: int, width: int
) -> None:
    """Whatever the weights; halves go to the even, as the sums are exact."""
    options = ContextOptions(CHANNELS, groups, order, reach)
    latent = any_latent(seed, height, width)
    context, prediction = full(options, latent), any_prediction(options, seed)
    for coding_pass in options.passes:
        for source in SOURCES:
            sums, bits = exact_expected(prediction, source, coding_pass, context)
            below, rest = sums >> bits, sums & (1 << bits) - 1
            half = 1 << bits - 1
            rounded = below + ((rest > half) | ((rest == half) & (below % 2 == 1)))
            expected = prediction.expected(source, coding_pass, context)
            assert expected.dtype == np.int32
            assert expected.shape == (1, *latent.symbols[coding_pass.place].shape)
            np.testing.assert_array_equal(expected[0].reshape(len(rounded), -1), rounded)


def test_sums_are_exact_whatever_the_threads() -> None:
    options = ContextOptions(CHANNELS, 5, "channels", 3)
    context, prediction = full(options, any_latent(0, 40, 44)), any_prediction(options, 0)
    for coding_pass in options.passes[-4:]:
        for source in SOURCES:
            results = []
            for threads in (1, 2):
                with threadpool_limits(threads):
                    results.append(prediction.expected(source, coding_pass, context))
            np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("order", ["phases", "channels"])
def test_the_fit_finds_a_linear_relation(order: Order) -> None:
    """Channel 1 is twice channel 0, channel 2 their difference from the left, and so on."""
    options = ContextOptions(3, 3, order, 1)
    latents = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first = rng.integers(-4, 5, (16, 20))
        symbols = np.stack([first, 2 * first, -first]).astype(np.int32)
        latents.append(TrainingLatent(symbols, np.full(symbols.shape, 2, np.int32)))
    prediction = fit(options, latents)
    test = latents[0]
    context = full(options, test)
    for coding_pass in options.passes:
        expected = prediction.expected("values", coding_pass, context)[0]
        if coding_pass.first == 0:
            continue
        # The ridge keeps a few percent.
        np.testing.assert_allclose(expected, UNIT * test.symbols[coding_pass.place], atol=0.1 * UNIT * 8)


def test_the_fit_finds_neighbors_and_their_liveliness() -> None:
    options = ContextOptions(CHANNELS, 2, "phases", 1)
    prediction = fit(options, [latent_of(seed) for seed in range(12)])
    test = latent_of(50)
    context = full(options, test)
    errors, squares = 0.0, 0.0
    for coding_pass in options.passes:
        truth = UNIT * test.symbols[coding_pass.place]
        if truth.size and coding_pass.end == CHANNELS:
            errors += float(np.square(prediction.expected("values", coding_pass, context)[0][1:] - truth[1:]).sum())
            squares += float(np.square(truth[1:]).sum())
    assert errors < 0.4 * squares


def test_the_fit_does_not_depend_on_threads_or_on_the_order_of_photos() -> None:
    """Up to the rounding of weights: the solver's sums are floats."""
    options = ContextOptions(CHANNELS, 2, "phases", 2)
    latents = [latent_of(seed) for seed in range(6)]
    with threadpool_limits(1):
        one = fit(options, latents)
        again = fit(options, latents)
    with threadpool_limits(2):
        two = fit(options, latents)
    assert same_state(one.state(), again.state())
    moments = [PredictionMoments.of(options, [full(options, one)]) for one in latents]
    added = moments[0]
    for other in moments[1:]:
        added = added + other
    for state in (two.state(), fit(options, latents[::-1]).state(), added.solve().state()):
        for name, weights in one.state().items():
            assert np.abs(weights.astype(int) - state[name].astype(int)).max() <= 1


def test_moments_are_exact_integers() -> None:
    options = ContextOptions(CHANNELS, 2, "phases", 1)
    moments = PredictionMoments.of(options, [full(options, any_latent(seed, 9, 7)) for seed in range(3)])
    for sums in moments.sums.values():
        np.testing.assert_array_equal(sums, np.rint(sums))
        assert np.abs(sums).max() < 2**53
    assert sum(moments.places.values()) == 3 * 9 * 7


def test_nothing_to_learn_from_gives_weights_of_nothing() -> None:
    options = ContextOptions(CHANNELS, 2, "phases", 1)
    zeros = TrainingLatent(np.zeros((CHANNELS, 4, 4), np.int32), np.full((CHANNELS, 4, 4), 1, np.int32))
    assert not fit(options, [zeros]).values.any()
    tiny = fit(options, [latent_of(0, 1, 1)])
    assert np.isfinite(tiny.values.astype(float)).all()


def test_state_round_trip() -> None:
    options = ContextOptions(CHANNELS, 2, "channels", 1)
    prediction = any_prediction(options, 1)
    assert {array.dtype.name for array in prediction.state().values()} == {"int16"}
    restored = LinearPrediction.from_state(options, prediction.state())
    assert same_state(restored.state(), prediction.state())
    for coding_pass in options.passes:
        assert prediction.weights("values", coding_pass).shape == weight_shape(options, coding_pass)
    views = [prediction.weights("magnitude_residuals", coding_pass).ravel() for coding_pass in options.passes]
    np.testing.assert_array_equal(np.concatenate(views), prediction.magnitude_residuals)


def test_weights_of_other_sizes_are_refused() -> None:
    options = ContextOptions(CHANNELS, 2, "channels", 1)
    state = any_prediction(options, 1).state()
    for name, weights in state.items():
        for wrong in (weights[1:], np.append(weights, weights[:1]), weights.astype(np.int32), weights[None]):
            with pytest.raises(ValueError, match="linear prediction"):
                LinearPrediction.from_state(options, {**state, name: wrong})
        with pytest.raises(KeyError):
            LinearPrediction.from_state(options, {other: state[other] for other in state if other != name})
    with pytest.raises(ValueError, match="linear prediction"):
        LinearPrediction.from_state(ContextOptions(CHANNELS, 3, "channels", 1), state)
