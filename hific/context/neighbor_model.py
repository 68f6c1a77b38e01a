"""Codes a latent by what is known around each symbol: the traversal of both directions, and what a checkpoint keeps.

    symbols that their table is sure of ── the table ───────────────────────────────────── coder
    then, for each pass:
    neighborhood ── linear summary ── features [n, F] ── predictor ── frequencies ── coder ── symbols ── neighborhood

Any int32 codes: what a class leaves open of its symbol follows behind the classes of its pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.linear_summary import LinearSummary
from hific.context.neighborhood import UNIT, Neighborhood, NeighborOptions
from hific.context.symbol_classes import SymbolClasses, check_classes
from hific.context.window_predictor import State, WindowPredictor

# Module and class of each; a number in the checkpoint chooses among them. Imported on use: XGBoost takes its time.
PREDICTORS: Mapping[str, tuple[str, str]] = {
    "xgboost": ("hific.context.xgboost_predictor", "XGBoostPredictor"),
    "knn": ("hific.context.knn_predictor", "KNNPredictor"),
    "table": ("hific.context.table_predictor", "TablePredictor"),
}
# A table that gives 0 at least this share of its mass codes its symbols alone.
SURE = 0.99
_ORDERS = ("phases", "channels")


@dataclass(frozen=True)
class NeighborModel:
    """largest, widest: of `SymbolClasses`. `kind`: key of PREDICTORS."""

    options: NeighborOptions
    largest: int
    widest: int
    summary: LinearSummary
    kind: str
    predictor: WindowPredictor
    # Of the tables of the last call: all of a model's latents are coded by the same, and they take 16 ms to make.
    _classes: SymbolClasses | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.kind not in PREDICTORS:
            raise ValueError(f"neighbor model: unknown predictor {self.kind!r}")
        check_classes(self.largest, self.widest)

    def code(self, coder: RangeCoder, symbols: Ints, table_ids: NDArray[np.integer], tables: SymbolTables) -> Ints:
        """Codes symbols int32 [C, h, w], either way; returns them. A decoder takes only their shape.

        table_ids: int [C, h, w], of `tables`. From a decoder, CorruptedError for what no encoder writes.
        """
        if len(symbols) != self.options.num_channels or symbols.shape != table_ids.shape:
            raise ValueError(f"a latent {symbols.shape}, tables {table_ids.shape}, for {self.options.num_channels}")
        open_symbols = ~sure_tables(tables)[table_ids]
        coded = np.zeros_like(symbols)
        sure = ~open_symbols
        coded[sure] = tables.code(coder, symbols[sure], table_ids[sure])
        symbol_classes = self._classes_by(tables)
        neighborhood = Neighborhood(self.options, table_ids[None], expected_magnitudes(tables), symbol_classes.widths)
        neighborhood.put((slice(None),) * 3, coded[None], sure[None])
        predictor = self.predictor.fresh()
        for step in self.options.steps:
            chosen = open_symbols[step.place]
            if not chosen.any():
                continue
            value, excess = (
                self.summary.expected(source, step, neighborhood)[0][chosen] for source in ("values", "excess")
            )
            features = neighborhood.features(step, chosen[None], value, excess)
            part, ids = symbols[step.place][chosen], table_ids[step.place][chosen]
            classes = coder.code(symbol_classes.of(part, ids), predictor.frequencies(features))
            predictor.observe(features, classes)
            coded[step.place][chosen] = symbol_classes.code_rest(coder, part, classes, ids)
            neighborhood.put(step.place, coded[step.place][None], chosen[None])
        return coded

    def _classes_by(self, tables: SymbolTables) -> SymbolClasses:
        classes = self._classes
        if classes is None or classes.tables is not tables:
            classes = SymbolClasses(tables, self.largest, self.widest)
            object.__setattr__(self, "_classes", classes)
        return classes

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays for a checkpoint."""
        options = self.options
        numbers = (
            options.num_channels,
            options.num_groups,
            _ORDERS.index(options.order),
            options.reach,
            options.side,
            int(options.location),
            self.largest,
            list(PREDICTORS).index(self.kind),
            self.widest,
        )
        state: dict[str, NDArray[np.integer]] = {"numbers": np.array(numbers, np.int32)}
        state |= {f"summary.{name}": array for name, array in self.summary.state().items()}
        return state | {f"predictor.{name}": array for name, array in self.predictor.state().items()}

    @classmethod
    def from_state(cls, state: State) -> NeighborModel:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        numbers = np.asarray(state["numbers"])
        if numbers.shape == (8,):
            numbers = np.append(numbers, numbers.dtype.type(1))  # from when all bins were of one symbol
        if numbers.shape != (9,) or numbers.dtype != np.int32 or numbers.min() < 0:
            raise ValueError("neighbor model: nine numbers are due")
        channels, groups, order, reach, side, location, largest, kind, widest = numbers.tolist()
        if order >= len(_ORDERS) or kind >= len(PREDICTORS):
            raise ValueError(f"neighbor model: unknown order {order} or predictor {kind}")
        options = NeighborOptions(channels, groups, _ORDERS[order], reach, side, bool(location))  # type: ignore[arg-type]
        name = list(PREDICTORS)[kind]
        module, kind_of_predictor = PREDICTORS[name]
        predictor = getattr(import_module(module), kind_of_predictor).from_state(_part(state, "predictor."))
        summary = LinearSummary.from_state(options, _part(state, "summary."))
        return cls(options, largest, widest, summary, name, predictor)


def _part(state: State, prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}


def sure_tables(tables: SymbolTables) -> NDArray[np.bool_]:
    """bool [T]: those that give 0 at least `SURE`."""
    return np.array([_frequency_of(tables, index, 0) >= SURE * TOTAL for index in range(len(tables))])


def expected_magnitudes(tables: SymbolTables) -> NDArray[np.int64]:
    """Mean |symbol| of each table, in 1/64, int64 [T]; escapes count as the first value beyond."""
    expected = np.empty(len(tables), np.int64)
    for index in range(len(tables)):
        values = tables.values(index)
        magnitudes = np.abs(np.append(values, values[-1] + 1))
        expected[index] = (magnitudes * tables.table(index)).sum() * UNIT // TOTAL
    return expected


def _frequency_of(tables: SymbolTables, index: int, value: int) -> int:
    place = value - int(tables.offsets[index])
    return int(tables.table(index)[place]) if 0 <= place < int(tables.sizes[index]) else 0
