"""Laws of every kind of context model."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from context_cases import CASES, KINDS, LEARNED, same_state
from windows_of_models import FREQUENCIES, LARGEST, OTHERS, WINDOW, fit, windows_of

from hific.coding.frequency_table import TOTAL
from hific.context.context_model import CONTEXT_MODELS, context_model_from_state, cross_entropy
from hific.errors import CheckpointError


def test_every_kind_is_in_the_table_and_tested() -> None:
    assert set(CONTEXT_MODELS) == set(CASES)
    for kind, (module, name) in CONTEXT_MODELS.items():
        assert CASES[kind].fit.kind == kind
        assert type(fit(kind)) is getattr(import_module(module), name)


def test_a_kind_that_does_not_exist_is_told() -> None:
    with pytest.raises(CheckpointError, match=r"'forest'.*linear, xgboost"):
        context_model_from_state("forest", {})


@pytest.mark.parametrize("kind", KINDS)
def test_state_round_trip(kind: str) -> None:
    model = fit(kind)
    state = model.state()
    restored = context_model_from_state(kind, {name: array.copy() for name, array in state.items()})
    assert same_state(restored.state(), state)
    np.testing.assert_array_equal(restored.frequencies(OTHERS.features), model.frequencies(OTHERS.features))
    for name in state:
        with pytest.raises(KeyError):
            context_model_from_state(kind, {other: array for other, array in state.items() if other != name})


@pytest.mark.parametrize("kind", KINDS)
def test_rows_can_code_and_do_not_depend_on_each_other(kind: str) -> None:
    model = fit(kind)
    frequencies = model.frequencies(OTHERS.features)
    assert frequencies.dtype == np.int32 and frequencies.shape == (500, 2 * LARGEST + 2)
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()
    parts = [model.frequencies(OTHERS.features[start : start + 7]) for start in range(0, 500, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), frequencies)
    assert model.frequencies(OTHERS.features[:0]).shape == (0, 2 * LARGEST + 2)


@pytest.mark.parametrize("kind", KINDS)
def test_no_features_are_too_large(kind: str) -> None:
    """A stream may hold symbols of any size."""
    features = OTHERS.features[:40].copy()
    features[:, 1:3] = np.random.default_rng(0).choice([-(2**15), 2**15 - 1], (40, 2))
    features[:, -WINDOW:] = 127
    frequencies = fit(kind).frequencies(features)
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()


@pytest.mark.parametrize("kind", LEARNED)
def test_what_is_learned_is_worth_something(kind: str) -> None:
    alone = cross_entropy(FREQUENCIES[OTHERS.features[:, 0]], OTHERS.bins)
    assert cross_entropy(fit(kind).frequencies(OTHERS.features), OTHERS.bins) < 0.75 * alone


@pytest.mark.parametrize("kind", LEARNED)
def test_learned_models_stay_as_they_are_while_coding(kind: str) -> None:
    model = fit(kind)
    before = model.frequencies(OTHERS.features)
    model.observe(OTHERS.features, OTHERS.bins)
    np.testing.assert_array_equal(model.frequencies(OTHERS.features), before)
    np.testing.assert_array_equal(model.copy().frequencies(OTHERS.features), before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_fit_is_deterministic(kind: str) -> None:
    assert same_state(fit(kind).state(), fit(kind).state())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("number", "held_out"), [(1, 0), (1, 1), (40, 0)])
def test_few_windows_are_enough(kind: str, number: int, held_out: int) -> None:
    model = fit(kind, training=windows_of(0, number), held_out=windows_of(1, held_out))
    frequencies = model.frequencies(OTHERS.features)
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()


@pytest.mark.parametrize("kind", LEARNED)
def test_arrays_of_other_types_are_refused(kind: str) -> None:
    state = fit(kind).state()
    for name, array in state.items():
        with pytest.raises(ValueError, match="other types"):
            context_model_from_state(kind, {**state, name: array.astype(np.float32)})
