"""How each kind of predictor learns from windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.coding.fixed_point import LOGIT_UNIT, Ints, fixed_point_logits
from hific.context.adaptive import AdaptiveModel
from hific.context.knn import MAX_REFERENCES, WEIGHT_UNIT, KNNModel, mix, scale_features
from hific.context.xgboost import XGBoostModel
from hific.fitting.context_model import Windows, cross_entropy

WINDOWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class XGBoostFit:
    """Boosting from the tables' margins, `multi:softprob`.

    Args:
        rounds: at most; `early_stopping` rounds without gain on the held-out windows end it sooner, 0 for never.
        max_delta_step: of a leaf, before `learning_rate`. Newton's coding_pass for a class that tables hold for nearly
            impossible, and is not, is hundreds: without a bound the first trees can be worse than none.
        multi_strategy: `multi_output_tree` is one tree a round with a vector in its leaves; `one_output_per_tree` is
            a tree for each class.
        device, tree_method: where and how trees are grown; prediction is always on the CPU.
        external_memory: a folder for quantized pages of windows, for more of them than fit into memory; they go there
            in parts and are removed afterwards. None keeps them in memory.
        others: see XGBoost's parameters of these names.
    """

    rounds: int = 60
    max_depth: int = 5
    learning_rate: float = 0.3
    min_child_weight: float = 5.0
    max_delta_step: float = 1.0
    max_bin: int = 128
    multi_strategy: Literal["multi_output_tree", "one_output_per_tree"] = "multi_output_tree"
    tree_method: str = "hist"
    device: str = "cpu"
    early_stopping: int = 10
    external_memory: str | None = None
    num_threads: int = 0
    seed: int = 0

    kind = "xgboost"

    def __call__(
        self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int
    ) -> XGBoostModel:
        margins = fixed_point_logits(table_frequencies)

        grown_from = self._matrix(training, margins)
        watched = [(self._matrix(held_out, margins, grown_from), "held_out")] if len(held_out.bins) else []
        parameters = {
            "objective": "multi:softprob",
            "num_class": margins.shape[1],
            "base_score": 0.5,
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "min_child_weight": self.min_child_weight,
            "max_delta_step": self.max_delta_step,
            "max_bin": self.max_bin,
            "multi_strategy": self.multi_strategy,
            "tree_method": self.tree_method,
            "device": self.device,
            "nthread": self.num_threads,
            "seed": self.seed,
        }
        booster = xgboost.train(
            parameters,
            grown_from,
            self.rounds,
            evals=watched,
            early_stopping_rounds=self.early_stopping or None if watched else None,
            verbose_eval=False,
        )
        if self.early_stopping and watched:
            booster = booster[: booster.best_iteration + 1]
        return XGBoostModel.of_booster(booster, margins, training.features)

    def _matrix(
        self, windows: Windows, margins: NDArray[np.int16], like: xgboost.DMatrix | None = None
    ) -> xgboost.DMatrix:
        parts = _Parts(windows, margins, self.external_memory)
        make = xgboost.QuantileDMatrix if self.external_memory is None else xgboost.ExtMemQuantileDMatrix
        return make(parts, max_bin=self.max_bin, ref=like, nthread=self.num_threads or None)


class _Parts(xgboost.DataIter):
    """Windows as the library takes them, float32, a part at a time."""

    def __init__(self, windows: Windows, margins: NDArray[np.int16], folder: str | None) -> None:
        self._windows, self._margins, self._next = windows, margins, 0
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        # The library makes temporary files beginning with this, and removes them.
        super().__init__(cache_prefix=None if folder is None else str(Path(folder) / "windows"))

    def next(self, input_data: Callable[..., None]) -> bool:
        part = slice(self._next, self._next + WINDOWS_AT_ONCE)
        features, bins = self._windows.features[part], self._windows.bins[part]
        if not len(bins):
            return False
        base = self._margins[features[:, 0]].astype(np.float32) / LOGIT_UNIT
        input_data(data=features.astype(np.float32), label=bins, base_margin=base)
        self._next = part.stop
        return True

    def reset(self) -> None:
        self._next = 0


@dataclass(frozen=True)
class KNNFit:
    """num_neighbors: k; max_references: windows that are kept, drawn with `seed`; time grows with them."""

    num_neighbors: int = 32
    max_references: int = 4096
    seed: int = 0

    kind = "knn"

    def __post_init__(self) -> None:
        if not 1 <= self.num_neighbors <= self.max_references <= MAX_REFERENCES:
            raise ValueError(
                f"num_neighbors={self.num_neighbors} is 1 to max_references={self.max_references}, which is at most "
                f"{MAX_REFERENCES}"
            )

    def __call__(
        self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int
    ) -> KNNModel:
        features, bins = training
        # Features count as much as they vary; the table, which says most, and what the prediction expects count more.
        spread = np.maximum(features.std(axis=0), 1.0)
        scales = np.rint(16 * 256 / spread)
        scales[:3] *= 4
        kept = np.random.default_rng(self.seed).permutation(len(bins))[: self.max_references]
        scales = np.maximum(scales, 1).astype(np.int32)
        references = scale_features(features[kept], scales).astype(np.int32)
        k = min(self.num_neighbors, len(kept))
        unweighted = KNNModel(table_frequencies, scales, references, bins[kept], k, 0)
        weight = self._weight(unweighted, held_out, table_frequencies) if len(held_out.bins) else 64
        return KNNModel(table_frequencies, scales, references, bins[kept], k, weight)

    def _weight(self, predictor: KNNModel, held_out: Windows, table_frequencies: Ints) -> int:
        """The w of least bits on the held-out windows."""
        some = slice(None, None, max(1, len(held_out.bins) // 20_000))
        features, bins = held_out.features[some], held_out.bins[some]
        base, votes = table_frequencies[features[:, 0]].astype(np.int64), predictor.votes(features)
        weights = range(0, WEIGHT_UNIT, 8)
        bits = [cross_entropy(mix(base, votes, predictor.num_neighbors, weight), bins) for weight in weights]
        return weights[int(np.argmin(bits))]


@dataclass(frozen=True)
class AdaptiveFit:
    """Nothing to learn: `AdaptiveModel`."""

    kind = "table"

    def __call__(
        self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int
    ) -> AdaptiveModel:
        return AdaptiveModel(table_frequencies, window_size)
