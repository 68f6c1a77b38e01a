"""Laws of the context model `linear`."""

from __future__ import annotations

import numpy as np
import pytest
from context_cases import RecordingCoder, laplace_tables, level_latent, level_tables
from windows_of_models import FREQUENCIES, LARGEST, OTHERS, TRAINING, fit

from benchmarks.correlated_latents import correlated_crops, correlated_latent, independent_latent
from hific.coding.frequency_table import TOTAL
from hific.context.context_model import Features, Windows, cross_entropy
from hific.context.linear import NUM_ACTIVITIES, POSITIONS_PER_BIN, LinearFit, LinearModel
from hific.context.symbol_bins import SymbolBins
from hific.fitting.context_model import ContextFit

NO_WINDOWS = Windows(TRAINING.features[:0], TRAINING.bins[:0])


def fit_linear(training: Windows = TRAINING, held_out: Windows = NO_WINDOWS) -> LinearModel:
    model = fit("linear", training=training, held_out=held_out)
    assert isinstance(model, LinearModel)
    return model


def features_of(table: int, value: int, residual: int = 0, coding_pass: int = 0) -> Features:
    """Of one symbol."""
    features = np.zeros((1, OTHERS.features.shape[1]), np.int16)
    features[0, :4] = table, value, residual, coding_pass
    return features


def test_without_windows_like_it_a_symbol_is_coded_as_its_table_says() -> None:
    """Rare cells are safe."""
    model = fit_linear(Windows(TRAINING.features[:0], TRAINING.bins[:0]))
    for table, row in enumerate(FREQUENCIES):
        np.testing.assert_array_equal(model.frequencies(features_of(table, 100))[0], row)
    some = TRAINING.features[:, 0] != 1
    seldom = fit_linear(Windows(TRAINING.features[some], TRAINING.bins[some]))
    np.testing.assert_array_equal(seldom.frequencies(features_of(1, 100))[0], FREQUENCIES[1])
    assert (seldom.frequencies(features_of(2, 100))[0] != FREQUENCIES[2]).any()


def test_cells_learn_what_happens_in_them() -> None:
    """Bin 1 where the prediction says 1.0, bin 4 where it says -1.0; but in pass 7 bin 0."""
    features = np.concatenate([features_of(2, 64), features_of(2, -64), features_of(2, 64, coding_pass=7)])
    model = fit_linear(Windows(np.repeat(features, 400, axis=0), np.repeat(np.array([1, 4, 0], np.int32), 400)))
    assert model.frequencies(features).argmax(axis=1).tolist() == [1, 4, 0]
    # A value that is an eighth of a bin off is as good; a pass that never came takes what all know of the position.
    near = np.concatenate([features_of(2, 64 - 8), features_of(2, -64 + 8)])
    assert model.frequencies(near).argmax(axis=1).tolist() == [1, 4]
    elsewhere = model.frequencies(features_of(2, 64, coding_pass=3))[0]
    assert elsewhere[:2].sum() > 0.8 * TOTAL and elsewhere[:2].min() > 0.3 * TOTAL


def test_one_window_moves_frequencies_by_little() -> None:
    model = fit_linear(Windows(features_of(2, 64), np.array([0], np.int32)))
    moved = np.abs(model.frequencies(features_of(2, 64))[0] - FREQUENCIES[2])
    assert moved.max() < 0.25 * FREQUENCIES[2].max()


def test_positions_and_activities_part_all_that_features_can_be() -> None:
    model = fit_linear()
    assert model.num_positions == POSITIONS_PER_BIN * (2 * LARGEST + 1)
    assert model.thresholds.shape == (len(FREQUENCIES), NUM_ACTIVITIES - 1)
    assert (np.diff(model.thresholds, axis=1) >= 0).all()


def test_parts_that_do_not_fit_are_refused() -> None:
    state = fit_linear().state()
    cells, frequencies = state["cells.0"], state["cell_frequencies.0"]
    wrong = {
        "table_frequencies": [state["table_frequencies"] * 2, state["table_frequencies"][1:]],
        "thresholds": [state["thresholds"][:, 1:], state["thresholds"][1:]],
        "cells.0": [cells[1:], cells[::-1].copy(), cells[None]],
        "cell_frequencies.0": [frequencies[1:], frequencies[:, 1:], frequencies - 1],
    }
    for name, arrays in wrong.items():
        for array in arrays:
            with pytest.raises(ValueError, match="linear context model"):
                LinearModel.from_state({**state, name: array})


def spent(training: list[np.ndarray], test: list[np.ndarray]) -> float:
    """Bits with the model, of those with a table a channel, of latents of five levels."""
    tables = level_tables(training)
    coder = ContextFit(LinearFit())([level_latent(one) for one in training], tables, len(training[0]))
    bits, alone = RecordingCoder(), RecordingCoder()
    for latent in map(level_latent, test):
        coder.code(bits, *latent)  # type: ignore[arg-type]
        tables.code(alone, latent.symbols.ravel(), latent.table_ids.ravel())  # type: ignore[arg-type]
    return bits.num_bits / alone.num_bits


def test_correlated_latents_take_far_fewer_bits_than_tables() -> None:
    training = correlated_crops(60, num_channels=4)
    assert spent(training, [correlated_latent(seed, num_channels=4) for seed in range(3)]) < 0.75


@pytest.mark.parametrize("number", [3, 20, 50])
def test_without_structure_little_is_lost_however_few_the_latents(number: int) -> None:
    training = [independent_latent(seed, 4, 8, 8) for seed in range(number)]
    assert spent(training, [independent_latent(seed, 4) for seed in range(5000, 5003)]) < 1.02


def test_with_many_tables_and_few_windows_that_say_nothing_little_is_lost() -> None:
    """Of 64 scales, each with dozens of windows only; symbols are drawn as their tables say."""
    frequencies = SymbolBins(laplace_tables(tuple(np.geomspace(0.2, 4, 64))), 8).frequencies
    rng = np.random.default_rng(0)

    def windows(number: int) -> Windows:
        features = rng.integers(-3, 4, (number, 15)).astype(np.int16)
        features[:, 0], features[:, 3] = rng.integers(0, 64, number), rng.integers(0, 28, number)
        features[:, 1:3] = rng.integers(-100, 100, (number, 2))
        drawn = rng.random((number, 1)) * TOTAL > frequencies[features[:, 0]].cumsum(axis=1)
        return Windows(features, drawn.sum(axis=1).astype(np.int32))

    model, others = LinearFit()(windows(4000), windows(1000), frequencies, 8), windows(5000)
    alone = cross_entropy(frequencies[others.features[:, 0]], others.bins)
    assert cross_entropy(model.frequencies(others.features), others.bins) < 1.003 * alone
