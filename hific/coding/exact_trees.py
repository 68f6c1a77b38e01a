"""XGBoost's trees with exact sums: grown, rounded, kept, asked.

Leaves are rounded to multiples of 2**-10 when a model is fitted, so that their float32 sums are exact in any order,
with any number of threads. Of integer features, what the trees say is therefore the same on every machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.coding.frequency_table import LOGIT_LIMIT, LOGIT_UNIT
from hific.coding.tree_document import check_trees
from hific.cores import usable_cores
from hific.errors import CheckpointError

# Of the examples that tell whether the library does here what it did where the trees were grown.
CHECKED_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class TreeGrowth:
    """How trees are boosted; fits take these options as their own.

    Args:
        rounds: at most; `early_stopping` rounds without gain on held-out rows end it sooner, 0 for never.
        gamma, reg_lambda: of the regularization of the source paper (section on XGBoost, equation 4),
            Omega = gamma T + 1/2 lambda sum w_i^2: what a tree pays for each of its T leaves, and for their weights w
            squared; reg_alpha: for their absolute values, which the paper leaves out. XGBoost's defaults.
        device, tree_method: where and how trees are grown; prediction is always on the CPU.
        num_threads: 0 for all.
        others: see XGBoost's parameters of these names.
    """

    rounds: int = 60
    max_depth: int = 5
    learning_rate: float = 0.3
    min_child_weight: float = 1.0
    max_delta_step: float = 0.0
    gamma: float = 0.0
    reg_lambda: float = 1.0
    reg_alpha: float = 0.0
    max_bin: int = 256
    tree_method: str = "hist"
    device: str = "cpu"
    early_stopping: int = 10
    num_threads: int = 0
    seed: int = 0

    def grow(
        self, objective: Mapping[str, Any], grown_from: xgboost.DMatrix, held_out: xgboost.DMatrix | None
    ) -> xgboost.Booster:
        """By the options and the parameters of an objective; as many rounds as are best for `held_out`, if any."""
        parameters = {
            **objective,
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "min_child_weight": self.min_child_weight,
            "max_delta_step": self.max_delta_step,
            "gamma": self.gamma,
            "reg_lambda": self.reg_lambda,
            "reg_alpha": self.reg_alpha,
            "max_bin": self.max_bin,
            "tree_method": self.tree_method,
            "device": self.device,
            "nthread": self.num_threads,
            "seed": self.seed,
        }
        stops = bool(self.early_stopping) and held_out is not None
        booster = xgboost.train(
            parameters,
            grown_from,
            self.rounds,
            evals=[] if held_out is None else [(held_out, "held_out")],
            early_stopping_rounds=self.early_stopping if stops else None,
            verbose_eval=False,
        )
        return booster[: booster.best_iteration + 1] if stops else booster


def load_booster(trees: NDArray[np.uint8]) -> xgboost.Booster:
    """From the library's own UBJSON; for prediction on the CPU. CheckpointError where the library cannot read it, or
    where following the trees could leave their arrays or never end (`check_trees`)."""
    booster = xgboost.Booster()
    try:
        check_trees(trees)
        booster.load_model(bytearray(trees.tobytes()))
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise _unreadable(error) from error
    booster.set_param({"nthread": _num_threads(), "device": "cpu"})
    return booster


def exact_sums(
    booster: xgboost.Booster, features: NDArray[np.integer | np.floating], base: NDArray[np.float32]
) -> NDArray[np.int32]:
    """int32 [n, K] in 1/1024: base [n, K], multiples of 2**-10, and the trees' leaves for features [n, F]."""
    if features.ndim != 2 or features.shape[1] != booster.num_features() or base.shape[1] < 1:
        # With fewer columns than it was grown on the library would read beyond them.
        raise CheckpointError(f"the checkpoint's trees look at {booster.num_features()} features, not {features.shape}")
    try:
        values = booster.inplace_predict(
            np.ascontiguousarray(features, np.float32), base_margin=base, predict_type="margin", validate_features=False
        )
    except xgboost.core.XGBoostError as error:
        raise _unreadable(error) from error
    if values.size != base.size:
        raise CheckpointError(f"the trees of the checkpoint give {values.shape} numbers, not {base.shape}")
    if not np.abs(values).max() < LOGIT_LIMIT:
        raise CheckpointError("what the trees of the checkpoint say is too large to be exact")
    return (values.reshape(base.shape) * LOGIT_UNIT).astype(np.int32)


def rounded_leaves(booster: xgboost.Booster) -> NDArray[np.uint8]:
    """The trees in UBJSON, their leaves multiples of 2**-10."""
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


def check_examples(examples: NDArray[np.integer]) -> None:
    """Raises ValueError for more than `CHECKED_ROWS` rows of features, which would take their time."""
    if examples.ndim != 2 or len(examples) > CHECKED_ROWS:
        raise ValueError(f"trees: examples are at most {CHECKED_ROWS} rows of features, not {examples.shape}")


def differs() -> CheckpointError:
    """For trees whose examples come out otherwise."""
    return CheckpointError(
        f"xgboost {xgboost.__version__} predicts otherwise than the version that fitted the checkpoint's trees: files "
        "would not decode; install the version that constraints.txt names"
    )


def _unreadable(error: Exception) -> CheckpointError:
    # The first line is "[time] file:line: reason"; the library's stack follows.
    reason = str(error).strip().splitlines()[0].split(": ", 1)[-1]
    return CheckpointError(
        f"xgboost {xgboost.__version__} cannot read the checkpoint's trees ({reason}): install the version that "
        "constraints.txt names"
    )


def _round(value: Any) -> float:
    return round(float(value) * LOGIT_UNIT) / LOGIT_UNIT


def _num_threads() -> int:
    """As many as the rest of the coder may use."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    available = usable_cores()
    return min(int(limit), available) if limit.isdigit() and int(limit) > 0 else available
