"""What predicts a symbol's bin from its causal context: integers in, integer frequencies out.

`features` are those of `CausalContext.features`: the table id first, then the linear prediction of the value and of the
magnitude residual, then pass, location and window. Bins are those of `SymbolBins`; `table_frequencies`, int32
[T, bins], what the tables alone say of them.

A new kind is one file with its model and its fit, and a line in `CONTEXT_MODELS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.coding.range_coder import Ints
from hific.errors import CheckpointError

Features = NDArray[np.int16]
State = Mapping[str, NDArray[np.integer]]

# Module and class of each kind. Imported on use: XGBoost takes its time.
CONTEXT_MODELS: Mapping[str, tuple[str, str]] = {
    "linear": ("hific.context.linear", "LinearModel"),
    "xgboost": ("hific.context.xgboost", "XGBoostModel"),
    "knn": ("hific.context.knn", "KNNModel"),
    "adaptive": ("hific.context.adaptive", "AdaptiveModel"),
}


class Windows(NamedTuple):
    """What a context model learns from: int16 [n, F] and int32 [n]."""

    features: Features
    bins: Ints

    def check_any(self) -> None:
        """Raises ValueError where there are none: for what cannot be fitted to nothing."""
        if not len(self.bins):
            raise ValueError(
                "a context model has nothing to learn: by the tables every symbol is all but certain, as of a model "
                "that codes all photos alike"
            )


class ContextModel(Protocol):
    """Exact: the same features give the same frequencies on every machine. A base of every kind, too: what it has of
    `observe` and `copy` is for those that learn nothing while coding.

    Each class has `from_state(state)`, the inverse of `state()`; it raises KeyError or ValueError for what `state()`
    did not give, CheckpointError for what does not do here what it did where it was fitted.
    """

    def frequencies(self, features: Features) -> Ints:
        """int32 [n, bins] of features int16 [n, F]; each row positive with a sum of 2**16."""
        ...

    def observe(self, features: Features, bins: Ints) -> None:
        """What the bins [n] turned out to be; for models that learn while coding."""
        return None

    def copy(self) -> ContextModel:
        """As it was before any image; each latent is coded with one of its own. Itself, where it learns nothing."""
        return self

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays for a checkpoint."""
        ...


class ContextModelFit(Protocol):
    """Makes context models of one kind."""

    @property
    def kind(self) -> str:
        """A key of `CONTEXT_MODELS`."""
        ...

    def __call__(self, training: Windows, held_out: Windows, table_frequencies: Ints, window_size: int) -> ContextModel:
        """`held_out`: from photos kept from training, maybe none; window_size: how many features, the last, are the
        window.
        """
        ...


def context_model_from_state(kind: str, state: State) -> ContextModel:
    """CheckpointError for a kind that does not exist; else see `ContextModel`."""
    if kind not in CONTEXT_MODELS:
        raise CheckpointError(f"the checkpoint has a context model {kind!r}; there are {', '.join(CONTEXT_MODELS)}")
    module, name = CONTEXT_MODELS[kind]
    model: ContextModel = getattr(import_module(module), name).from_state(state)
    return model


def cross_entropy(frequencies: Ints, bins: Ints) -> float:
    """Bits a symbol, of frequencies [n, bins]."""
    taken = np.take_along_axis(frequencies, bins[:, None], axis=1)
    return float(-np.log2(taken / TOTAL).mean()) if len(bins) else 0.0


def check_frequencies(what: str, frequencies: Ints) -> None:
    """Raises ValueError unless each row [.., bins] is positive with a sum of 2**16."""
    if (
        frequencies.ndim != 2
        or frequencies.shape[1] < 1
        or (frequencies < 1).any()
        or (frequencies.sum(axis=1) != TOTAL).any()
    ):
        raise ValueError(f"{what}: a table is not positive or does not sum to 2**16")
