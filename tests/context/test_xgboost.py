"""Laws of the context model `xgboost`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from context_cases import same_state
from numpy.typing import NDArray
from windows_of_models import LARGEST, OTHERS, WINDOW, fit, windows_of

from hific.coding.exact_trees import CHECKED_ROWS
from hific.coding.frequency_table import LOGIT_LIMIT, LOGIT_UNIT, TOTAL
from hific.context import xgboost as xgboost_kind
from hific.context.context_model import Windows, cross_entropy
from hific.context.xgboost import XGBoostFit, XGBoostModel
from hific.errors import CheckpointError


def fit_xgboost(**arguments: Any) -> XGBoostModel:
    model = fit("xgboost", **arguments)
    assert isinstance(model, XGBoostModel)
    return model


STRATEGIES = ["multi_output_tree", "one_output_per_tree"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_logits_are_exact(strategy: str) -> None:
    model = fit_xgboost(multi_strategy=strategy)
    features = OTHERS.features
    base = model.table_logits[features[:, 0]].astype(np.float32) / LOGIT_UNIT
    values = model._booster.inplace_predict(
        features.astype(np.float32), base_margin=base, predict_type="margin", validate_features=False
    )
    scaled = values.astype(np.float64) * LOGIT_UNIT
    np.testing.assert_array_equal(scaled, np.rint(scaled))
    np.testing.assert_array_equal(model.logits(features), scaled)
    assert (model.logits(features) != model.table_logits[features[:, 0]]).any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_logits_are_the_sum_over_trees_in_any_order(strategy: str) -> None:
    """By walking the trees that the library writes as JSON."""
    model = fit_xgboost(multi_strategy=strategy, rounds=4)
    document = json.loads(bytes(model._booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    trees = list(zip(document["trees"], document["tree_info"], strict=True))
    assert len(trees) == (4 if strategy == "multi_output_tree" else 4 * (2 * LARGEST + 2))
    features = OTHERS.features[:60]
    expected = model.table_logits[features[:, 0]].astype(np.int64)
    for tree, group in reversed(trees):
        for row, sums in zip(features.astype(np.float32), expected, strict=True):
            sums += _leaf(tree, group, row, len(sums))
    np.testing.assert_array_equal(model.logits(features), expected)


def _leaf(tree: dict[str, Any], group: int, row: NDArray[np.float32], num_bins: int) -> NDArray[np.int64]:
    """In 1/1024, of each bin."""
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
def test_logits_do_not_depend_on_threads_or_the_form_of_the_model(strategy: str) -> None:
    model = fit_xgboost(multi_strategy=strategy)
    expected = model.logits(OTHERS.features)
    for form in ("ubj", "json"):
        trees = np.frombuffer(bytes(model._booster.save_raw(form)), np.uint8)
        other = XGBoostModel.from_state({**model.state(), "trees": trees})
        for threads in (1, 2):
            other._booster.set_param({"nthread": threads})
            np.testing.assert_array_equal(other.logits(OTHERS.features), expected)
            one_by_one = [other.logits(OTHERS.features[[row]]) for row in range(0, 500, 50)]
            np.testing.assert_array_equal(np.concatenate(one_by_one), expected[::50])


def test_fitting_with_several_threads_or_in_parts_gives_a_model_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = cross_entropy(fit("xgboost").frequencies(OTHERS.features), OTHERS.bins)
    monkeypatch.setattr(xgboost_kind, "WINDOWS_AT_ONCE", 400)
    for model in (fit("xgboost"), fit("xgboost", num_threads=2)):
        assert cross_entropy(model.frequencies(OTHERS.features), OTHERS.bins) < bits + 0.05


def test_the_check_rows_notice_a_library_that_predicts_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fit_xgboost()
    state = model.state()
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
        XGBoostModel.from_state({**state, "trees": np.frombuffer(model, np.uint8)})


def test_logits_too_large_to_be_exact_are_refused() -> None:
    state = fit_xgboost().state()
    document = json.loads(bytes(XGBoostModel.from_state(state)._booster.save_raw("json")))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["leaf_weights"] = [float(2 * LOGIT_LIMIT)] * len(tree["leaf_weights"])
    trees = np.frombuffer(json.dumps(document).encode(), np.uint8)
    with pytest.raises(CheckpointError, match="too large"):
        XGBoostModel.from_state({**state, "trees": trees})


def test_boosting_stops_where_held_out_windows_gain_nothing() -> None:
    noise = windows_of(5, 1500, noise=50)
    assert fit_xgboost(training=noise, rounds=100, early_stopping=2).num_trees < 25
    assert fit_xgboost(rounds=5, early_stopping=0).num_trees == 5
    assert fit_xgboost(held_out=windows_of(0, 0), rounds=5).num_trees == 5


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_external_memory_gives_a_model_as_good_and_leaves_nothing(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xgboost_kind, "WINDOWS_AT_ONCE", 400)
    folder = tmp_path / "pages"
    bits = []
    for external_memory in (None, str(folder)):
        model = fit_xgboost(multi_strategy=strategy, external_memory=external_memory)
        bits.append(cross_entropy(model.frequencies(OTHERS.features), OTHERS.bins))
        restored = XGBoostModel.from_state(model.state())
        assert same_state(restored.state(), model.state())
    assert bits[1] < bits[0] + 0.05
    assert folder.is_dir() and not list(folder.iterdir())


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
        cross_entropy(model.frequencies(held_out.features), held_out.bins)
        for model in (
            XGBoostFit(rounds=1, max_depth=2, num_threads=1, **bound)(training, held_out, surprised, WINDOW)
            for bound in ({}, {"max_delta_step": 0.0})
        )
    ]
    assert spent[0] < alone < spent[1]


@pytest.mark.parametrize("option", ["gamma", "reg_lambda", "reg_alpha"])
def test_regularization_keeps_trees_small(option: str) -> None:
    """The paper's equation 4, at its extreme: no leaf but a tree's one for gamma, and no weight for the others."""
    model = fit_xgboost(multi_strategy="one_output_per_tree", **{option: 1e9})
    features = OTHERS.features
    learned = model.logits(features) - model.table_logits[features[:, 0]]
    if option == "gamma":
        assert (learned == learned[0]).all()
    else:
        assert not learned.any()
