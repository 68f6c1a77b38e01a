"""Laws of the predictors: XGBoost, nearest neighbors, adaptive tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from context_cases import KINDS, fitted, laplace_tables, predictor_fit, same_state
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.context import fit_predictors
from hific.fitting.context_model import Windows, cross_entropy
from hific.context.fit_predictors import KNNFit, AdaptiveFit, XGBoostFit
from hific.context.knn import FEATURE_LIMIT, WEIGHT_UNIT, KNNModel, mix, scale_features
from hific.coding.fixed_point import LOGIT_LIMIT, LOGIT_UNIT, Ints
from hific.latent_coders.context_coded import CONTEXT_MODELS
from hific.context.symbol_bins import SymbolBins
from hific.context.adaptive import PRIOR_SYMBOLS, AdaptiveModel
from hific.context.context_model import ContextModel
from hific.context.xgboost import CHECKED_ROWS, XGBoostModel
from hific.errors import CheckpointError

LARGEST, WINDOW = 2, 8
FREQUENCIES = SymbolBins(laplace_tables(), LARGEST).frequencies


def windows_of(seed: int, number: int = 1500, *, noise: float = 0.6) -> Windows:
    """Classes that follow the expected value and a neighbor; the other features say nothing."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-3, 4, (number, 7 + WINDOW)).astype(np.int16)
    features[:, 0] = rng.integers(0, len(FREQUENCIES), number)
    features[:, 1:3] = rng.integers(-150, 151, (number, 2))
    symbols = np.rint(features[:, 1] / 64 + (features[:, 9] > 1) + noise * rng.normal(size=number))
    return Windows(features, (np.clip(symbols, -LARGEST, LARGEST + 1) + LARGEST).astype(np.int32))


TRAINING, HELD_OUT, OTHERS = windows_of(0), windows_of(1, 300), windows_of(2, 500)


def fit(kind: str, *, training: Windows = TRAINING, held_out: Windows = HELD_OUT, **arguments: Any) -> ContextModel:
    return predictor_fit(kind, **arguments)(training, held_out, FREQUENCIES, WINDOW)


def fit_xgboost(**arguments: Any) -> XGBoostModel:
    predictor = fit("xgboost", **arguments)
    assert isinstance(predictor, XGBoostModel)
    return predictor


def fit_knn(**arguments: Any) -> KNNModel:
    predictor = fit("knn", **arguments)
    assert isinstance(predictor, KNNModel)
    return predictor


def class_of(kind: str) -> Any:
    return {"xgboost": XGBoostModel, "knn": KNNModel, "table": AdaptiveModel}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_state_round_trip(kind: str) -> None:
    predictor = fit(kind)
    state = predictor.state()
    restored = class_of(kind).from_state({name: array.copy() for name, array in state.items()})
    assert same_state(restored.state(), state)
    np.testing.assert_array_equal(restored.frequencies(OTHERS.features), predictor.frequencies(OTHERS.features))
    for name in state:
        with pytest.raises(KeyError):
            class_of(kind).from_state({other: array for other, array in state.items() if other != name})
    assert CONTEXT_MODELS[kind] == (class_of(kind).__module__, class_of(kind).__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_can_code_and_do_not_depend_on_each_other(kind: str) -> None:
    predictor = fit(kind)
    frequencies = predictor.frequencies(OTHERS.features)
    assert frequencies.dtype == np.int32 and frequencies.shape == (500, 2 * LARGEST + 2)
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()
    parts = [predictor.frequencies(OTHERS.features[start : start + 7]) for start in range(0, 500, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), frequencies)
    assert predictor.frequencies(OTHERS.features[:0]).shape == (0, 2 * LARGEST + 2)


@pytest.mark.parametrize("kind", ["xgboost", "knn"])
def test_what_is_learned_is_worth_something(kind: str) -> None:
    alone = cross_entropy(FREQUENCIES[OTHERS.features[:, 0]], OTHERS.bins)
    assert cross_entropy(fit(kind).frequencies(OTHERS.features), OTHERS.bins) < 0.75 * alone


@pytest.mark.parametrize("kind", KINDS)
def test_the_fit_is_deterministic(kind: str) -> None:
    assert same_state(fit(kind).state(), fit(kind).state())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("number", "held_out"), [(1, 0), (1, 1), (40, 0)])
def test_few_windows_are_enough(kind: str, number: int, held_out: int) -> None:
    predictor = fit(kind, training=windows_of(0, number), held_out=windows_of(1, held_out))
    frequencies = predictor.frequencies(OTHERS.features)
    assert frequencies.min() >= 1 and (frequencies.sum(axis=1) == TOTAL).all()


STRATEGIES = ["multi_output_tree", "one_output_per_tree"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_margins_are_exact(strategy: str) -> None:
    predictor = fit_xgboost(multi_strategy=strategy)
    features = OTHERS.features
    base = predictor.margins[features[:, 0]].astype(np.float32) / LOGIT_UNIT
    values = predictor._booster.inplace_predict(
        features.astype(np.float32), base_margin=base, predict_type="margin", validate_features=False
    )
    scaled = values.astype(np.float64) * LOGIT_UNIT
    np.testing.assert_array_equal(scaled, np.rint(scaled))
    np.testing.assert_array_equal(predictor.logits(features), scaled)
    assert (predictor.logits(features) != predictor.margins[features[:, 0]]).any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_margins_are_the_sum_over_trees_in_any_order(strategy: str) -> None:
    """By walking the trees that the library writes as JSON."""
    predictor = fit_xgboost(multi_strategy=strategy, rounds=4)
    model = json.loads(bytes(predictor._booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    trees = list(zip(model["trees"], model["tree_info"], strict=True))
    assert len(trees) == (4 if strategy == "multi_output_tree" else 4 * (2 * LARGEST + 2))
    features = OTHERS.features[:60]
    expected = predictor.margins[features[:, 0]].astype(np.int64)
    for tree, group in reversed(trees):
        for row, sums in zip(features.astype(np.float32), expected, strict=True):
            sums += _leaf(tree, group, row, len(sums))
    np.testing.assert_array_equal(predictor.logits(features), expected)


def _leaf(tree: dict[str, Any], group: int, row: NDArray[np.float32], num_bins: int) -> NDArray[np.int64]:
    """In 1/1024, of each class."""
    node = 0
    while tree["left_children"][node] != -1:
        goes_left = row[tree["split_indices"][node]] < np.float32(tree["split_conditions"][node])
        node = tree["left_children" if goes_left else "right_children"][node]
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        # Leaves are numbered by what would be their right child.
        start = tree["right_children"][node] * num_bins
        values = np.array(tree["leaf_weights"][start : start + num_bins], np.float32)
    else:
        values = np.zeros(num_bins, np.float32)
        values[group] = tree["split_conditions"][node]
    scaled = values * LOGIT_UNIT
    assert (scaled == np.rint(scaled)).all()
    return scaled.astype(np.int64)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_margins_do_not_depend_on_threads_or_the_form_of_the_model(strategy: str) -> None:
    predictor = fit_xgboost(multi_strategy=strategy)
    expected = predictor.logits(OTHERS.features)
    for form in ("ubj", "json"):
        model = np.frombuffer(bytes(predictor._booster.save_raw(form)), np.uint8)
        other = XGBoostModel.from_state({**predictor.state(), "model": model})
        for threads in (1, 2):
            other._booster.set_param({"nthread": threads})
            np.testing.assert_array_equal(other.logits(OTHERS.features), expected)
            one_by_one = [other.logits(OTHERS.features[[row]]) for row in range(0, 500, 50)]
            np.testing.assert_array_equal(np.concatenate(one_by_one), expected[::50])


def test_fitting_with_several_threads_or_in_parts_gives_a_predictor_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = cross_entropy(fit("xgboost").frequencies(OTHERS.features), OTHERS.bins)
    monkeypatch.setattr(fit_predictors, "WINDOWS_AT_ONCE", 400)
    for predictor in (fit("xgboost"), fit("xgboost", num_threads=2)):
        assert cross_entropy(predictor.frequencies(OTHERS.features), OTHERS.bins) < bits + 0.05


def test_the_check_rows_notice_a_library_that_predicts_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = fit_xgboost()
    state = predictor.state()
    assert 1 <= len(state["check_features"]) <= CHECKED_ROWS
    changed = state["check_logits"].copy()
    changed[-1, 1] += 1
    with pytest.raises(CheckpointError, match="predicts otherwise"):
        XGBoostModel.from_state({**state, "check_logits": changed})
    original = xgboost.Booster.inplace_predict
    monkeypatch.setattr(
        xgboost.Booster, "inplace_predict", lambda *arguments, **named: original(*arguments, **named) + 2.0**-10
    )
    with pytest.raises(CheckpointError, match=xgboost.__version__):
        XGBoostModel.from_state(state)


@pytest.mark.parametrize("model", [b"garbage", b"{}", b'{"learner": 3}', bytes(1000), b"\xff" * 50])
def test_a_model_of_other_bytes_is_refused(model: bytes) -> None:
    state = fit_xgboost().state()
    with pytest.raises(CheckpointError, match="xgboost"):
        XGBoostModel.from_state({**state, "model": np.frombuffer(model, np.uint8)})


def test_arrays_of_other_types_are_refused() -> None:
    for kind in ("xgboost", "knn"):
        state = fit(kind).state()
        for name, array in state.items():
            with pytest.raises(ValueError, match="other types"):
                class_of(kind).from_state({**state, name: array.astype(np.float32)})


def test_margins_too_large_to_be_exact_are_refused() -> None:
    state = fit_xgboost().state()
    document = json.loads(bytes(XGBoostModel.from_state(state)._booster.save_raw("json")))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["leaf_weights"] = [float(2 * LOGIT_LIMIT)] * len(tree["leaf_weights"])
    model = np.frombuffer(json.dumps(document).encode(), np.uint8)
    with pytest.raises(CheckpointError, match="too large"):
        XGBoostModel.from_state({**state, "model": model})


def test_boosting_stops_where_held_out_windows_gain_nothing() -> None:
    noise = windows_of(5, 1500, noise=50)
    assert fit_xgboost(training=noise, rounds=100, early_stopping=2).num_trees < 25
    assert fit_xgboost(rounds=5, early_stopping=0).num_trees == 5
    assert fit_xgboost(held_out=windows_of(0, 0), rounds=5).num_trees == 5


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_external_memory_gives_a_predictor_as_good_and_leaves_nothing(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_predictors, "WINDOWS_AT_ONCE", 400)
    folder = tmp_path / "pages"
    bits = []
    for external_memory in (None, str(folder)):
        predictor = fit_xgboost(multi_strategy=strategy, external_memory=external_memory)
        bits.append(cross_entropy(predictor.frequencies(OTHERS.features), OTHERS.bins))
        restored = XGBoostModel.from_state(predictor.state())
        assert same_state(restored.state(), predictor.state())
    assert bits[1] < bits[0] + 0.05
    assert folder.is_dir() and not list(folder.iterdir())


def squared_distances(predictor: KNNModel, features: NDArray[np.int16]) -> NDArray[np.int64]:
    """Python's own integers, [n, R]."""
    queries = [
        [min(max(int(value) * scale // WEIGHT_UNIT, -FEATURE_LIMIT), FEATURE_LIMIT) for value, scale in pairs]
        for pairs in (zip(row.tolist(), predictor.scales.tolist(), strict=True) for row in features)
    ]
    references = predictor.references.tolist()
    return np.array(
        [[sum((a - b) ** 2 for a, b in zip(query, row, strict=True)) for row in references] for query in queries]
    )


def test_neighbors_are_the_first_by_distance_and_index() -> None:
    predictor = fit_knn(max_references=150, num_neighbors=7)
    features = OTHERS.features[:25]
    expected = np.zeros((len(features), predictor.num_bins), int)
    for row, distances in enumerate(squared_distances(predictor, features).tolist()):
        nearest = sorted(range(150), key=lambda index, distances=distances: (distances[index], index))[:7]
        for index in nearest:
            expected[row, predictor.reference_bins[index]] += 1
    np.testing.assert_array_equal(predictor.votes(features), expected)


def test_ties_go_to_the_lower_index() -> None:
    bins = np.array([3, 1, 1, 1, 2, 2], np.int32)
    references = np.zeros((6, 4), np.int32)
    references[0] = 9
    predictor = KNNModel(FREQUENCIES, np.full(4, WEIGHT_UNIT, np.int32), references, bins, 4, 128)
    assert predictor.votes(np.zeros((1, 4), np.int16)).tolist() == [[0, 3, 1, 0, 0, 0]]


def test_distances_are_those_of_scikit_learn() -> None:
    """Indices differ where distances tie."""
    predictor = fit_knn(max_references=400, num_neighbors=9)
    features = OTHERS.features[:100]
    queries = scale_features(features, predictor.scales)
    distances, _ = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(predictor.references).kneighbors(queries)
    own = np.sort(squared_distances(predictor, features), axis=1)[:, :9]
    np.testing.assert_allclose(np.sqrt(own), distances, rtol=1e-9)
    # The farthest that votes is as far as the farthest of the library's.
    references = predictor.references.astype(float)
    for row, votes in enumerate(predictor.votes(features)):
        squares = ((references - queries[row]) ** 2).sum(axis=1)
        within = squares <= own[row, -1]
        assert (votes <= np.bincount(predictor.reference_bins[within], minlength=len(votes))).all()
        inside = squares < own[row, -1]
        assert (votes >= np.bincount(predictor.reference_bins[inside], minlength=len(votes))).all()
        assert votes.sum() == 9


def test_distances_are_exact_at_the_limits() -> None:
    """Also where every feature is as far away as it can be."""
    references = np.full((3, 120), FEATURE_LIMIT, np.int32)
    references[1, 0] -= 1
    references[2] = -FEATURE_LIMIT
    scales = np.full(120, WEIGHT_UNIT, np.int32)
    predictor = KNNModel(FREQUENCIES, scales, references, np.array([0, 1, 2], np.int32), 1, 0)
    features = np.array([np.full(120, -(2**15)), np.full(120, 2**15 - 1)], np.int16)
    features[:, 0] = 0
    assert predictor.votes(features).argmax(axis=1).tolist() == [2, 1]


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
            with pytest.raises(ValueError, match="knn predictor"):
                KNNModel.from_state({**state, name: array})


def test_tables_learn_while_coding_and_forget() -> None:
    predictor = AdaptiveFit()(TRAINING, HELD_OUT, FREQUENCIES, WINDOW)
    quiet = np.zeros((1, 7 + WINDOW), np.int16)
    quiet[0, 0] = 2
    lively = quiet.copy()
    lively[0, -WINDOW:] = 1
    before = predictor.frequencies(quiet)
    np.testing.assert_allclose(before[0], FREQUENCIES[2], atol=1 + len(before[0]))
    seen = np.repeat(quiet, 100, axis=0)
    predictor.observe(seen, np.full(100, 4, np.int32))
    after = predictor.frequencies(quiet)
    expected = normalize_counts(FREQUENCIES[2].astype(np.int64) * PRIOR_SYMBOLS + 100 * TOTAL * (np.arange(6) == 4))
    np.testing.assert_array_equal(after[0], expected)
    assert after[0, 4] > 0.7 * TOTAL > before[0, 4]
    np.testing.assert_array_equal(predictor.frequencies(lively)[0], predictor.copy().frequencies(lively)[0])
    np.testing.assert_array_equal(predictor.copy().frequencies(quiet), before)
    np.testing.assert_array_equal(AdaptiveModel.from_state(predictor.state()).frequencies(quiet), before)


def test_learned_predictors_stay_as_they_are_while_coding() -> None:
    for kind in ("xgboost", "knn"):
        predictor = fit(kind)
        before = predictor.frequencies(OTHERS.features)
        predictor.observe(OTHERS.features, OTHERS.bins)
        np.testing.assert_array_equal(predictor.frequencies(OTHERS.features), before)
        assert predictor.copy() is predictor


def test_kinds_are_named_as_the_checkpoint_numbers_them() -> None:
    assert list(CONTEXT_MODELS) == ["xgboost", "knn", "table"]
    assert [one.kind for one in (XGBoostFit, KNNFit, AdaptiveFit)] == list(CONTEXT_MODELS)
    assert fitted("knn").kind == "knn"


def test_no_leaf_leaps_where_tables_take_what_happens_for_nearly_impossible() -> None:
    """Newton's coding_pass divides by a variance of next to nothing."""
    rng = np.random.default_rng(0)
    surprised = np.full((1, 2 * LARGEST + 2), 3, np.int32)
    surprised[0, LARGEST] = TOTAL - 3 * (2 * LARGEST + 1)

    def windows(number: int) -> Windows:
        features = rng.integers(-3, 4, (number, 7 + WINDOW)).astype(np.int16)
        features[:, 0] = 0
        is_rare = rng.random(number) < 0.02
        return Windows(features, np.where(is_rare, rng.integers(0, LARGEST, number), LARGEST).astype(np.int32))

    training, held_out = windows(120_000), windows(2000)
    alone = cross_entropy(surprised[held_out.features[:, 0]], held_out.bins)
    spent = [
        cross_entropy(predictor.frequencies(held_out.features), held_out.bins)
        for predictor in (
            XGBoostFit(rounds=1, max_depth=2, num_threads=1, **bound)(training, held_out, surprised, WINDOW)
            for bound in ({}, {"max_delta_step": 0.0})
        )
    ]
    assert spent[0] < alone < spent[1]
