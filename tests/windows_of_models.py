"""Windows that context models learn from, and models fitted to them, shared by the tests of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from context_cases import laplace_tables, model_fit

from hific.context.context_model import ContextModel, Windows
from hific.context.symbol_bins import SymbolBins

LARGEST, WINDOW = 2, 8
FREQUENCIES = SymbolBins(laplace_tables(), LARGEST).frequencies


def windows_of(seed: int, number: int = 1500, *, noise: float = 0.6) -> Windows:
    """Classes that follow the expected value and a neighbor; the other features say nothing."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-3, 4, (number, 7 + WINDOW)).astype(np.int16)
    features[:, 0] = rng.integers(0, len(FREQUENCIES), number)
    features[:, 1:3] = rng.integers(-150, 151, (number, 2))
    features[:, 3] = rng.integers(0, 3, number)
    symbols = np.rint(features[:, 1] / 64 + (features[:, 9] > 1) + noise * rng.normal(size=number))
    return Windows(features, (np.clip(symbols, -LARGEST, LARGEST + 1) + LARGEST).astype(np.int32))


TRAINING, HELD_OUT, OTHERS = windows_of(0), windows_of(1, 300), windows_of(2, 500)


def fit(kind: str, *, training: Windows = TRAINING, held_out: Windows = HELD_OUT, **arguments: Any) -> ContextModel:
    return model_fit(kind, **arguments)(training, held_out, FREQUENCIES, WINDOW)
