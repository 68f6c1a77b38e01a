"""XGBoost over the context (hific_xgboost, section 3): boosting starts at the tables and learns a correction.

    margins of the table + sum over trees of the leaf's vector ── integers in 1/1024 ── frequencies

Leaves are rounded (`exact_trees`) and features are integers: what XGBoost is asked for is the same on every machine,
and a vector of examples in the checkpoint tells where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.coding.exact_trees import differs, exact_logits, load_booster, rounded_leaves
from hific.coding.fixed_point import LOGIT_UNIT, Ints, frequencies_of
from hific.context.context_model import Features, State

CHECKED_ROWS = 64


@dataclass(frozen=True)
class XGBoostModel:
    """Made by `fit_xgboost`. Raises CheckpointError where the library gives other margins than it gave when fitting.

    margins: int16 [T, bins]; model: uint8, the library's own UBJSON; check_features: int16 [r, F];
    check_logits: int32 [r, bins], what they lead to.
    """

    margins: NDArray[np.int16]
    model: NDArray[np.uint8]
    check_features: Features
    check_logits: Ints
    _booster: xgboost.Booster = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_booster", load_booster(self.model))
        if not np.array_equal(self.logits(self.check_features), self.check_logits):
            raise differs()

    @classmethod
    def of_booster(cls, booster: xgboost.Booster, margins: NDArray[np.int16], examples: Features) -> XGBoostModel:
        """Rounds the leaves. `examples`: int16 [n, F], of which some are kept to check with."""
        model = rounded_leaves(booster)
        some = examples[:: max(1, len(examples) // CHECKED_ROWS)][:CHECKED_ROWS].copy()
        unchecked = cls(margins, model, some[:0], np.zeros((0, margins.shape[1]), np.int32))
        return cls(margins, model, some, unchecked.logits(some))

    def logits(self, features: Features) -> Ints:
        """int32 [n, bins] in 1/1024."""
        if not len(features):
            return np.zeros((0, self.margins.shape[1]), np.int32)
        base = self.margins[features[:, 0]].astype(np.float32) / np.float32(LOGIT_UNIT)
        return exact_logits(self._booster, features, base)

    def frequencies(self, features: Features) -> Ints:
        return frequencies_of(self.logits(features))

    def observe(self, features: Features, bins: Ints) -> None:
        pass

    def copy(self) -> XGBoostModel:
        return self

    def state(self) -> dict[str, NDArray[np.integer]]:
        return {
            "margins": self.margins,
            "model": self.model,
            "check_features": self.check_features,
            "check_logits": self.check_logits,
        }

    @classmethod
    def from_state(cls, state: State) -> XGBoostModel:
        """Raises KeyError, or ValueError (CheckpointError) where `state` is not what `state()` gave."""
        kinds = {"margins": np.int16, "model": np.uint8, "check_features": np.int16, "check_logits": np.int32}
        arrays = {name: np.asarray(state[name]) for name in kinds}
        if any(arrays[name].dtype != kind for name, kind in kinds.items()):
            raise ValueError("xgboost predictor: its arrays are of other types")
        return cls(**arrays)  # type: ignore[arg-type]

    @cached_property
    def num_trees(self) -> int:
        return int(self._booster.num_boosted_rounds())
