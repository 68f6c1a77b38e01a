"""Codes a latent by what is known around each symbol: the traversal of both directions, and what a checkpoint keeps.

    symbols whose table is sure of them ── the table ────────────────────────────────────── coder
    then, for each pass:
    causal context ── linear prediction ── features [n, F] ── context model ── frequencies ── coder ── symbols ─┐
          └─────────────────────────────────────────────────────────────────────────────────────────────────────┘

Any int32 codes: what a bin leaves open of its symbol follows behind the bins of its pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL
from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.causal_context import CausalContext, ContextOptions
from hific.context.context_model import (
    CONTEXT_MODELS,
    ContextModel,
    State,
    check_frequencies,
    context_model_from_state,
)
from hific.context.linear_prediction import LinearPrediction
from hific.context.symbol_bins import SymbolBins, expected_magnitudes, skip_mask
from hific.errors import CheckpointError
from hific.latent_coders.base import LatentCoderName, part_of

_PREDICTION, _MODEL = "linear_prediction.", "model."
_PLAIN = {"kind": str, "largest": int, "max_bin_width": int, "num_channels": int, "num_groups": int, "order": str}
_PLAIN |= {"reach": int, "side": int, "location": bool}
_EVERYWHERE = (slice(None),) * 3


@dataclass(frozen=True, eq=False)
class ContextCoded:
    """tables: of the symbols' table ids; largest, max_bin_width: of `SymbolBins`; kind: key of `CONTEXT_MODELS`; model:
    of that kind. Raises ValueError where they do not fit one another.
    """

    tables: SymbolTables
    options: ContextOptions
    largest: int
    max_bin_width: int
    linear_prediction: LinearPrediction
    kind: str
    model: ContextModel

    name: ClassVar[LatentCoderName] = "context_coded"

    def __post_init__(self) -> None:
        if self.kind not in CONTEXT_MODELS:
            raise ValueError(f"context model {self.kind!r}: there are {', '.join(CONTEXT_MODELS)}")
        # What decoding will ask for: each table once. What does not fit shows here, not in the middle of a file.
        self._check_answers(self._bins.escape + 1)

    @property
    def label(self) -> str:
        return self.kind

    @property
    def least_bits(self) -> float:
        # Of frequencies that are positive, the largest leaves 1 to each other bin.
        of_bins = -np.log2(1 - (2 * self.largest + 1) / TOTAL)
        return min(float(of_bins), float(self.tables.least_bits.min()))

    def code(self, coder: RangeCoder, symbols: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """As `LatentCoder.code`; any int32 codes."""
        if len(symbols) != self.options.num_channels or symbols.shape != table_ids.shape:
            raise ValueError(f"a latent {symbols.shape}, table ids {table_ids.shape}, for {self.options.num_channels}")
        skipped = self._skip_mask[table_ids]
        open_symbols = ~skipped
        coded = np.zeros_like(symbols)
        coded[skipped] = self.tables.code(coder, symbols[skipped], table_ids[skipped])
        context = CausalContext(self.options, table_ids[None], self._expected_magnitudes, self._bins.widths)
        context.put(_EVERYWHERE, coded[None], skipped[None])
        model = self.model.copy()
        for coding_pass in self.options.passes:
            place = coding_pass.place
            chosen = open_symbols[place]
            if not chosen.any():
                continue
            predicted = self.linear_prediction.of_chosen(coding_pass, context, chosen[None])
            features = context.features(coding_pass, chosen[None], *predicted)
            part, ids = symbols[place][chosen], table_ids[place][chosen]
            bins = coder.code(self._bins.of(part, ids), model.frequencies(features))
            model.observe(features, bins)
            coded[place][chosen] = self._bins.code_rest(coder, part, bins, ids)
            context.put(place, coded[place][None], chosen[None])
        return coded

    def _check_answers(self, num_bins: int) -> None:
        features = np.zeros((len(self.tables), self.options.num_features), np.int16)
        features[:, 0] = np.arange(len(self.tables))
        try:
            frequencies = self.model.frequencies(features)
        except IndexError as error:
            raise ValueError(f"{self.kind} context model: it is for fewer than {len(self.tables)} tables") from error
        check_frequencies(f"{self.kind} context model", frequencies)
        if frequencies.shape != (len(self.tables), num_bins):
            raise ValueError(f"{self.kind} context model: {frequencies.shape[1]} bins, the symbols have {num_bins}")

    @cached_property
    def _bins(self) -> SymbolBins:
        return SymbolBins(self.tables, self.largest, self.max_bin_width)

    @cached_property
    def _skip_mask(self) -> NDArray[np.bool_]:
        return skip_mask(self.tables)

    @cached_property
    def _expected_magnitudes(self) -> NDArray[np.int64]:
        return expected_magnitudes(self.tables)

    def description(self) -> dict[str, str | int | bool]:
        """Plain values for a checkpoint."""
        own = {"kind": self.kind, "largest": self.largest, "max_bin_width": self.max_bin_width}
        return {**own, **asdict(self.options)}

    def arrays(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays for a checkpoint; the tables are kept by whoever has them."""
        prediction = {_PREDICTION + name: array for name, array in self.linear_prediction.state().items()}
        return prediction | {_MODEL + name: array for name, array in self.model.state().items()}

    @classmethod
    def from_parts(cls, description: Mapping[str, Any], arrays: State, tables: SymbolTables) -> ContextCoded:
        """Of what `description()` and `arrays()` gave, and the tables. Raises ValueError (CheckpointError too) or
        KeyError for what they did not give.
        """
        _check_plain(description)
        kind, largest, max_bin_width = (description[name] for name in ("kind", "largest", "max_bin_width"))
        options = ContextOptions(**{field.name: description[field.name] for field in fields(ContextOptions)})
        linear_prediction = LinearPrediction.from_state(options, part_of(arrays, _PREDICTION))
        model = context_model_from_state(kind, part_of(arrays, _MODEL))
        return cls(tables, options, largest, max_bin_width, linear_prediction, kind, model)


def _check_plain(description: Mapping[str, Any]) -> None:
    wrong = [name for name, kind in _PLAIN.items() if type(description[name]) is not kind]
    if wrong:
        raise CheckpointError(f"context coder: {', '.join(wrong)} in the checkpoint are not what a fit leaves")
