"""XGBoost over the neighborhood (hific_xgboost, section 3): boosting starts at the tables and learns a correction.

    margins of the table + sum over trees of the leaf's vector ── integers in 1/1024 ── frequencies

Leaves are rounded to multiples of 2**-10 when the model is fitted, so that their float32 sums are exact in any order,
with any number of threads; features are integers. What XGBoost is asked for is therefore the same on every machine, and
a vector of examples in the checkpoint tells where it is not.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.context.symbol_classes import MARGIN_LIMIT, MARGIN_UNIT, Ints, frequencies_of
from hific.context.window_predictor import Features, PredictorError, State

CHECKED_ROWS = 64


@dataclass(frozen=True)
class XGBoostPredictor:
    """Made by `fit_xgboost`. Raises PredictorError where the library gives other margins than it gave when fitting.

    margins: int16 [T, classes]; model: uint8, the library's own UBJSON; check_features: int16 [r, F];
    check_margins: int32 [r, classes], what they lead to.
    """

    margins: NDArray[np.int16]
    model: NDArray[np.uint8]
    check_features: Features
    check_margins: Ints
    _booster: xgboost.Booster = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(self.model.tobytes()))
            booster.set_param({"nthread": _num_threads(), "device": "cpu"})
            object.__setattr__(self, "_booster", booster)
            margins = self.class_margins(self.check_features)
        except xgboost.core.XGBoostError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PredictorError(
                f"xgboost {xgboost.__version__} cannot read the predictor ({reason}): install the version that "
                "constraints.txt names"
            ) from error
        if not np.array_equal(margins, self.check_margins):
            raise PredictorError(
                f"xgboost {xgboost.__version__} predicts otherwise than the version that fitted the predictor: files "
                "would not decode; install the version that constraints.txt names"
            )

    @classmethod
    def of_booster(cls, booster: xgboost.Booster, margins: NDArray[np.int16], examples: Features) -> XGBoostPredictor:
        """Rounds the leaves. `examples`: int16 [n, F], of which some are kept to check with."""
        model = np.frombuffer(_rounded(booster), np.uint8)
        some = examples[:: max(1, len(examples) // CHECKED_ROWS)][:CHECKED_ROWS].copy()
        unchecked = cls(margins, model, some[:0], np.zeros((0, margins.shape[1]), np.int32))
        return cls(margins, model, some, unchecked.class_margins(some))

    def class_margins(self, features: Features) -> Ints:
        """int32 [n, classes] in 1/1024."""
        if not len(features):
            return np.zeros((0, self.margins.shape[1]), np.int32)
        base = self.margins[features[:, 0]].astype(np.float32) / MARGIN_UNIT
        values = self._booster.inplace_predict(
            np.ascontiguousarray(features, np.float32), base_margin=base, predict_type="margin", validate_features=False
        )
        if not np.abs(values).max() < MARGIN_LIMIT:
            raise PredictorError("the predictor's margins are too large to be exact")
        return (values.reshape(base.shape) * MARGIN_UNIT).astype(np.int32)

    def frequencies(self, features: Features) -> Ints:
        return frequencies_of(self.class_margins(features))

    def observe(self, features: Features, classes: Ints) -> None:
        pass

    def fresh(self) -> XGBoostPredictor:
        return self

    def state(self) -> dict[str, NDArray[np.integer]]:
        return {
            "margins": self.margins,
            "model": self.model,
            "check_features": self.check_features,
            "check_margins": self.check_margins,
        }

    @classmethod
    def from_state(cls, state: State) -> XGBoostPredictor:
        """Raises KeyError, or ValueError (PredictorError) where `state` is not what `state()` gave."""
        kinds = {"margins": np.int16, "model": np.uint8, "check_features": np.int16, "check_margins": np.int32}
        arrays = {name: np.asarray(state[name]) for name in kinds}
        if any(arrays[name].dtype != kind for name, kind in kinds.items()):
            raise ValueError("xgboost predictor: its arrays are of other types")
        return cls(**arrays)  # type: ignore[arg-type]

    @cached_property
    def num_trees(self) -> int:
        return int(self._booster.num_boosted_rounds())


def _rounded(booster: xgboost.Booster) -> bytes:
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
    return bytes(rounded.save_raw("ubj"))


def _round(value: Any) -> float:
    return round(float(value) * MARGIN_UNIT) / MARGIN_UNIT


def _num_threads() -> int:
    """As many as the rest of the coder may use."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(limit), available) if limit.isdigit() and int(limit) > 0 else available
