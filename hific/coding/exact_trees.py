"""XGBoost's trees with exact sums.

Leaves are rounded to multiples of 2**-10 when a model is fitted, so that their float32 sums are exact in any order,
with any number of threads. Of integer features, what the trees say is therefore the same on every machine.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.coding.fixed_point import LOGIT_LIMIT, LOGIT_UNIT
from hific.errors import CheckpointError


def load_booster(model: NDArray[np.uint8]) -> xgboost.Booster:
    """From the library's own UBJSON; for prediction on the CPU. CheckpointError where the library cannot read it."""
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(model.tobytes()))
    except xgboost.core.XGBoostError as error:
        raise _unreadable(error) from error
    booster.set_param({"nthread": _num_threads(), "device": "cpu"})
    return booster


def exact_logits(
    booster: xgboost.Booster, features: NDArray[np.integer | np.floating], base: NDArray[np.float32]
) -> NDArray[np.int32]:
    """int32 [n, K] in 1/1024: base [n, K], multiples of 2**-10, and the trees' leaves for features [n, F]."""
    try:
        values = booster.inplace_predict(
            np.ascontiguousarray(features, np.float32), base_margin=base, predict_type="margin", validate_features=False
        )
    except xgboost.core.XGBoostError as error:
        raise _unreadable(error) from error
    if not np.abs(values).max() < LOGIT_LIMIT:
        raise CheckpointError("the predictor's margins are too large to be exact")
    return (values.reshape(base.shape) * LOGIT_UNIT).astype(np.int32)


def rounded_leaves(booster: xgboost.Booster) -> NDArray[np.uint8]:
    """The model in UBJSON, its leaves multiples of 2**-10."""
    document = json.loads(bytes(booster.save_raw("json")))
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        if int(tree["tree_param"]["size_leaf_vector"]) > 1:
            tree["leaf_weights"] = [_round(value) for value in tree["leaf_weights"]]
        else:
            leaves = [left < 0 for left in tree["left_children"]]
            tree["split_conditions"] = [
                _round(value) if leaf else value for value, leaf in zip(tree["split_conditions"], leaves, strict=True)
            ]
    rounded = xgboost.Booster()
    rounded.load_model(bytearray(json.dumps(document).encode()))
    return np.frombuffer(bytes(rounded.save_raw("ubj")), np.uint8)


def differs() -> CheckpointError:
    """For a predictor whose vector of examples comes out otherwise."""
    return CheckpointError(
        f"xgboost {xgboost.__version__} predicts otherwise than the version that fitted the predictor: files "
        "would not decode; install the version that constraints.txt names"
    )


def _unreadable(error: Exception) -> CheckpointError:
    # The first line is "[time] file:line: reason"; the library's stack follows.
    reason = str(error).strip().splitlines()[0].split(": ", 1)[-1]
    return CheckpointError(
        f"xgboost {xgboost.__version__} cannot read the predictor ({reason}): install the version that "
        "constraints.txt names"
    )


def _round(value: Any) -> float:
    return round(float(value) * LOGIT_UNIT) / LOGIT_UNIT


def _num_threads() -> int:
    """As many as the rest of the coder may use."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(limit), available) if limit.isdigit() and int(limit) > 0 else available
