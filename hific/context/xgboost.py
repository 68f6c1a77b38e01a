"""XGBoost over the causal context: boosting starts at the tables and learns a correction.

    logits of the table + sum over trees of the leaf's vector ── integers in 1/1024 ── frequencies

Leaves are rounded (`exact_trees`) and features are integers: what XGBoost is asked for is the same on every machine,
and a vector of examples in the checkpoint tells where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.coding.exact_trees import (
    CHECKED_ROWS,
    TreeGrowth,
    check_examples,
    differs,
    exact_sums,
    load_booster,
    rounded_leaves,
)
from hific.coding.frequency_table import LOGIT_UNIT, fixed_point_logits, frequencies_of
from hific.coding.range_coder import Ints
from hific.context.context_model import ContextModel, Features, State, Windows

WINDOWS_AT_ONCE = 1 << 18
_TYPES: dict[str, Any] = {
    "table_logits": np.int16,
    "trees": np.uint8,
    "check_features": np.int16,
    "check_logits": np.int32,
}


@dataclass(frozen=True)
class XGBoostModel(ContextModel):
    """Made by `XGBoostFit`. Raises CheckpointError where the library gives other logits than it gave when fitting.

    table_logits: int16 [T, bins]; trees: uint8, the library's own UBJSON; check_features: int16 [r, F]; check_logits:
    int32 [r, bins], what they lead to.
    """

    table_logits: NDArray[np.int16]
    trees: NDArray[np.uint8]
    check_features: Features
    check_logits: Ints
    _booster: xgboost.Booster = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.table_logits.ndim != 2:
            raise ValueError(f"xgboost context model: table logits {self.table_logits.shape}")
        check_examples(self.check_features)
        object.__setattr__(self, "_booster", load_booster(self.trees))
        if not np.array_equal(self.logits(self.check_features), self.check_logits):
            raise differs()

    @classmethod
    def of_booster(cls, booster: xgboost.Booster, table_logits: NDArray[np.int16], examples: Features) -> XGBoostModel:
        """Rounds the leaves. `examples`: int16 [n, F], of which some are kept to check with."""
        trees = rounded_leaves(booster)
        some = examples[:: max(1, len(examples) // CHECKED_ROWS)][:CHECKED_ROWS].copy()
        unchecked = cls(table_logits, trees, some[:0], np.zeros((0, table_logits.shape[1]), np.int32))
        return cls(table_logits, trees, some, unchecked.logits(some))

    def logits(self, features: Features) -> Ints:
        """int32 [n, bins] in 1/1024."""
        if not len(features):
            return np.zeros((0, self.table_logits.shape[1]), np.int32)
        return exact_sums(self._booster, features, _base(self.table_logits, features))

    def frequencies(self, features: Features) -> Ints:
        return frequencies_of(self.logits(features))

    def state(self) -> dict[str, NDArray[np.integer]]:
        return {name: getattr(self, name) for name in _TYPES}

    @classmethod
    def from_state(cls, state: State) -> XGBoostModel:
        arrays: dict[str, Any] = {name: np.asarray(state[name]) for name in _TYPES}
        if any(arrays[name].dtype != kind for name, kind in _TYPES.items()):
            raise ValueError("xgboost context model: its arrays are of other types")
        return cls(**arrays)

    @cached_property
    def num_trees(self) -> int:
        return int(self._booster.num_boosted_rounds())


@dataclass(frozen=True, kw_only=True)
class XGBoostFit(TreeGrowth):
    """Boosting from the tables' logits, `multi:softprob`.

    Args:
        max_delta_step: of a leaf, before `learning_rate`. Newton's step for a bin that tables hold for nearly
            impossible, and is not, is hundreds: without a bound the first trees can be worse than none.
        multi_strategy: `multi_output_tree` is one tree a round with a vector in its leaves; `one_output_per_tree` is
            a tree for each bin.
        external_memory: a folder for quantized pages of windows, for more of them than fit into memory; they go there
            in parts and are removed afterwards. None keeps them in memory.
        others: see `TreeGrowth`.
    """

    min_child_weight: float = 5.0
    max_delta_step: float = 1.0
    max_bin: int = 128
    multi_strategy: Literal["multi_output_tree", "one_output_per_tree"] = "multi_output_tree"
    external_memory: str | None = None

    kind = "xgboost"

    def __call__(self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int) -> XGBoostModel:
        training.check_any()
        table_logits = fixed_point_logits(table_frequencies)
        grown_from = self._matrix(training, table_logits)
        watched = self._matrix(held_out, table_logits, grown_from) if len(held_out.bins) else None
        objective = {
            "objective": "multi:softprob",
            "num_class": table_logits.shape[1],
            "base_score": 0.5,
            "multi_strategy": self.multi_strategy,
        }
        return XGBoostModel.of_booster(self.grow(objective, grown_from, watched), table_logits, training.features)

    def _matrix(
        self, windows: Windows, table_logits: NDArray[np.int16], like: xgboost.DMatrix | None = None
    ) -> xgboost.DMatrix:
        parts = _Parts(windows, table_logits, self.external_memory)
        make = xgboost.QuantileDMatrix if self.external_memory is None else xgboost.ExtMemQuantileDMatrix
        return make(parts, max_bin=self.max_bin, ref=like, nthread=self.num_threads or None)


class _Parts(xgboost.DataIter):
    """Windows as the library takes them, float32, a part at a time."""

    def __init__(self, windows: Windows, table_logits: NDArray[np.int16], folder: str | None) -> None:
        self._windows, self._table_logits, self._next = windows, table_logits, 0
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        # The library makes temporary files beginning with this, and removes them.
        super().__init__(cache_prefix=None if folder is None else str(Path(folder) / "windows"))

    def next(self, input_data: Callable[..., None]) -> bool:
        part = slice(self._next, self._next + WINDOWS_AT_ONCE)
        features, bins = self._windows.features[part], self._windows.bins[part]
        if not len(bins):
            return False
        input_data(data=features.astype(np.float32), label=bins, base_margin=_base(self._table_logits, features))
        self._next = part.stop
        return True

    def reset(self) -> None:
        self._next = 0


def _base(table_logits: NDArray[np.int16], features: Features) -> NDArray[np.float32]:
    """What boosting starts from, [n, bins]."""
    base: NDArray[np.float32] = table_logits[features[:, 0]].astype(np.float32) / np.float32(LOGIT_UNIT)
    return base
