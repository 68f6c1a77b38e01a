"""Laws of the context model `knn`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from windows_of_models import FREQUENCIES, HELD_OUT, OTHERS, fit, windows_of

from hific.coding.frequency_table import TOTAL
from hific.coding.range_coder import Ints
from hific.context.context_model import Windows
from hific.context.knn import FEATURE_LIMIT, WEIGHT_UNIT, KNNModel, mix, scale_features


def fit_knn(**arguments: Any) -> KNNModel:
    model = fit("knn", **arguments)
    assert isinstance(model, KNNModel)
    return model


def squared_distances(model: KNNModel, features: NDArray[np.int16]) -> NDArray[np.int64]:
    """Python's own integers, [n, R]."""
    queries = [
        [min(max(int(value) * scale // WEIGHT_UNIT, -FEATURE_LIMIT), FEATURE_LIMIT) for value, scale in pairs]
        for pairs in (zip(row.tolist(), model.scales.tolist(), strict=True) for row in features)
    ]
    references = model.references.tolist()
    return np.array(
        [[sum((a - b) ** 2 for a, b in zip(query, row, strict=True)) for row in references] for query in queries]
    )


def test_neighbors_are_the_first_by_distance_and_index() -> None:
    model = fit_knn(max_references=150, num_neighbors=7)
    features = OTHERS.features[:25]
    expected = np.zeros((len(features), model.num_bins), int)
    for row, distances in enumerate(squared_distances(model, features).tolist()):
        nearest = sorted(range(150), key=lambda index, distances=distances: (distances[index], index))[:7]
        for index in nearest:
            expected[row, model.reference_bins[index]] += 1
    np.testing.assert_array_equal(model.votes(features), expected)


def test_ties_go_to_the_lower_index() -> None:
    bins = np.array([3, 1, 1, 1, 2, 2], np.int32)
    references = np.zeros((6, 4), np.int32)
    references[0] = 9
    model = KNNModel(FREQUENCIES, np.full(4, WEIGHT_UNIT, np.int32), references, bins, 4, 128)
    assert model.votes(np.zeros((1, 4), np.int16)).tolist() == [[0, 3, 1, 0, 0, 0]]


def test_distances_are_those_of_scikit_learn() -> None:
    """Indices differ where distances tie."""
    model = fit_knn(max_references=400, num_neighbors=9)
    features = OTHERS.features[:100]
    queries = scale_features(features, model.scales)
    distances, _ = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(model.references).kneighbors(queries)
    own = np.sort(squared_distances(model, features), axis=1)[:, :9]
    np.testing.assert_allclose(np.sqrt(own), distances, rtol=1e-9)
    # The farthest that votes is as far as the farthest of the library's.
    references = model.references.astype(float)
    for row, votes in enumerate(model.votes(features)):
        squares = ((references - queries[row]) ** 2).sum(axis=1)
        within = squares <= own[row, -1]
        assert (votes <= np.bincount(model.reference_bins[within], minlength=len(votes))).all()
        inside = squares < own[row, -1]
        assert (votes >= np.bincount(model.reference_bins[inside], minlength=len(votes))).all()
        assert votes.sum() == 9


def test_distances_are_exact_at_the_limits() -> None:
    """Also where every feature is as far away as it can be."""
    references = np.full((3, 120), FEATURE_LIMIT, np.int32)
    references[1, 0] -= 1
    references[2] = -FEATURE_LIMIT
    scales = np.full(120, WEIGHT_UNIT, np.int32)
    model = KNNModel(FREQUENCIES, scales, references, np.array([0, 1, 2], np.int32), 1, 0)
    features = np.array([np.full(120, -(2**15)), np.full(120, 2**15 - 1)], np.int16)
    features[:, 0] = 0
    assert model.votes(features).argmax(axis=1).tolist() == [2, 1]


def test_the_weight_of_votes_is_fitted() -> None:
    """Much where neighbors know, nothing where they do not."""
    assert fit_knn().weight > 64
    noise = windows_of(3, noise=0)
    shuffled = np.random.default_rng(0).permutation(noise.bins)
    rows = FREQUENCIES[HELD_OUT.features[:, 0]]
    drawn = (np.random.default_rng(1).random((len(rows), 1)) * TOTAL > rows.cumsum(axis=1)).sum(axis=1)
    by_tables = Windows(HELD_OUT.features, drawn.astype(np.int32))
    assert fit_knn(training=Windows(noise.features, shuffled), held_out=by_tables).weight <= 32
    assert 0 < fit_knn(held_out=windows_of(0, 0)).weight < WEIGHT_UNIT


def test_a_mixture_goes_from_tables_to_votes() -> None:
    base, votes = FREQUENCIES[:2].astype(np.int64), np.array([[0, 8, 0, 0, 0, 0], [4, 0, 0, 4, 0, 0]])
    for weight in (0, 64, WEIGHT_UNIT):
        shares = (1 - weight / WEIGHT_UNIT) * base / TOTAL + weight / WEIGHT_UNIT * votes / 8
        assert np.abs(mix(base, votes, 8, weight) / TOTAL - shares).max() < 2e-4


def test_references_that_do_not_fit_are_refused() -> None:
    state = fit_knn().state()
    wrong: dict[str, list[Ints]] = {
        "scales": [state["scales"][1:]],
        "references": [state["references"][:, 1:], state["references"][1:], state["references"] + 2 * FEATURE_LIMIT],
        "reference_bins": [state["reference_bins"] - 10, state["reference_bins"] + 10],
        "table_frequencies": [state["table_frequencies"] * 2, state["table_frequencies"] - TOTAL],
        "numbers": [np.array(numbers, np.int32) for numbers in ([0, 1], [10**6, 1], [8, 257], [8, -1], [8])],
    }
    for name, arrays in wrong.items():
        for array in arrays:
            with pytest.raises(ValueError, match="knn context model"):
                KNNModel.from_state({**state, name: array})
