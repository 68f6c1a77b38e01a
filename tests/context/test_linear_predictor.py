"""Laws of the linear predictor and its fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.correlated_latents import LEVELS, correlated_crops, correlated_latent, independent_latent
from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.range_coder import Ints
from hific.context import fit_linear_predictor as fitting
from hific.context.coding_order import coding_order
from hific.context.fit_linear_predictor import fit_linear_predictor
from hific.context.linear_predictor import MAX_WEIGHT, LinearPredictor
from hific.context.predictor import code_latent

Latents = list[NDArray[np.int8]]


class IdealCoder:
    """Counts the bits that a perfect coder would take."""

    def __init__(self) -> None:
        self.num_bits = 0.0

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        self.num_bits -= np.log2(np.take_along_axis(frequencies, symbols[:, None], axis=1) / TOTAL).sum()
        return symbols

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        return self.code(symbols, tables[table_ids])


def context_bits(training: Latents, test: Latents) -> float:
    """Bits per symbol with the predictor."""
    predictor = fit_linear_predictor(training, len(test[0]), LEVELS)
    coder = IdealCoder()
    for latent in test:
        code_latent(coder, latent.astype(np.int32), predictor)
    return coder.num_bits / sum(latent.size for latent in test)


def static_bits(training: Latents, test: Latents) -> float:
    """Bits per symbol with a table per channel."""
    planes = [np.concatenate([latent[channel].ravel() for latent in training]) for channel in range(len(test[0]))]
    tables = normalize_counts(np.stack([np.bincount(plane, minlength=LEVELS) + 1 for plane in planes]))
    coder = IdealCoder()
    for latent in test:
        for channel, plane in enumerate(latent.astype(np.int32)):
            coder.code_grouped(plane.ravel(), np.full(plane.size, channel), tables)
    return coder.num_bits / sum(latent.size for latent in test)


def same(one: LinearPredictor, other: LinearPredictor) -> bool:
    return all(np.array_equal(array, other.state()[name]) for name, array in one.state().items())


def test_correlated_latents_take_far_fewer_bits_than_static_tables() -> None:
    training, test = correlated_crops(200), [correlated_latent(seed) for seed in range(3)]
    assert context_bits(training, test) < 0.75 * static_bits(training, test)


@pytest.mark.parametrize("number", [3, 20, 200])
def test_without_structure_little_is_lost_however_short_the_history(number: int) -> None:
    training = [independent_latent(seed, 4, 8, 8) for seed in range(number)]
    test = [independent_latent(seed, 4) for seed in range(5000, 5003)]
    assert context_bits(training, test) < 1.02 * static_bits(training, test)


@pytest.mark.parametrize("latents", [[], [np.zeros((3, 0, 4), np.int8)], [np.full((3, 1, 1), 4, np.int8)]])
def test_any_history_gives_tables_that_code(latents: Latents) -> None:
    predictor = fit_linear_predictor(latents, 3, LEVELS)
    latent = independent_latent(0, 3, 9, 7).astype(np.int32)
    coder = IdealCoder()
    np.testing.assert_array_equal(code_latent(coder, latent, predictor), latent)
    if not any(latent.size for latent in latents):
        assert coder.num_bits / latent.size == pytest.approx(np.log2(5), abs=1e-3)


def test_the_fit_is_deterministic_whatever_the_threads() -> None:
    training = correlated_crops(40, num_channels=4)
    with threadpool_limits(1):
        one = fit_linear_predictor(training, 4, LEVELS)
    with threadpool_limits(2):
        two = fit_linear_predictor([latent.astype(np.int64) for latent in training], 4, LEVELS)
    assert same(one, two)


def test_of_a_long_history_the_newest_latents_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = correlated_crops(10, seed=1, num_channels=2), correlated_crops(10, seed=500, num_channels=2)
    monkeypatch.setattr(fitting, "MAX_SYMBOLS", sum(latent.size for latent in new))
    assert same(fit_linear_predictor(old + new, 2, LEVELS), fit_linear_predictor(new, 2, LEVELS))


def test_more_rows_than_least_squares_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    training, test = correlated_crops(60, num_channels=2), [correlated_latent(1, num_channels=2)]
    all_rows = context_bits(training, test)
    monkeypatch.setattr(fitting, "MAX_LEAST_SQUARES_ROWS", 500)
    assert all_rows <= context_bits(training, test) < 1.1 * all_rows


class FrequencyRecorder:
    """An encoder's stand-in that keeps the frequencies of every pass."""

    def __init__(self) -> None:
        self.passes: list[Ints] = []

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        self.passes.append(frequencies)
        return symbols

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        return self.code(symbols, tables[table_ids])


def test_a_symbol_changes_no_frequency_of_its_pass_or_an_earlier_one() -> None:
    predictor = fit_linear_predictor(correlated_crops(60, num_channels=3), 3, LEVELS)
    latent = correlated_latent(9, 3, 11, 13).astype(np.int32)
    before = FrequencyRecorder()
    code_latent(before, latent, predictor)
    changes_later = 0
    for step in coding_order(3):
        changed = latent.copy()
        place = changed[step.channel, step.row :: step.spacing, step.column :: step.spacing]
        place[...] = 4 - place
        place[place == 2] = 0
        after = FrequencyRecorder()
        code_latent(after, changed, predictor)
        for index in range(step.index + 1):
            np.testing.assert_array_equal(after.passes[index], before.passes[index])
        later = zip(after.passes[step.index + 1 :], before.passes[step.index + 1 :], strict=True)
        changes_later += any(not np.array_equal(one, other) for one, other in later)
    assert changes_later == len(coding_order(3)) - 1


def test_state_round_trip() -> None:
    predictor = fit_linear_predictor(correlated_crops(5, num_channels=2), 2, LEVELS)
    assert all(array.dtype == np.int32 for array in predictor.state().values())
    assert same(LinearPredictor.from_state(predictor.state()), predictor)


def test_a_state_that_no_fit_gives_is_refused() -> None:
    state = fit_linear_predictor([], 2, LEVELS).state()
    damaged = {
        "tables": [state["tables"] - 1, state["tables"][:, :-1], state["tables"][:-1]],
        "position_weights": [state["position_weights"] + MAX_WEIGHT + 1, state["position_weights"][:, 1:]],
        "error_thresholds": [state["error_thresholds"][:, 1:]],
    }
    for name, arrays in damaged.items():
        for array in arrays:
            with pytest.raises(ValueError, match="context model"):
                LinearPredictor.from_state({**state, name: array})
    with pytest.raises(KeyError):
        LinearPredictor.from_state({})
