"""What every model's latent is coded by: symbols, with the prior's table ids, through one coder in either direction.

    latent ─ minus means ─ rint ─ symbols [C, h, w] ─┐
                                                     ├─ LatentCoder.code ─ RangeCoder
    Prior.predict ─ Prediction(table_ids, means) ────┘

| name          | a symbol's frequencies                                                       |
|---------------|------------------------------------------------------------------------------|
| fixed_length  | all symbols alike: the nominal rate                                          |
| tables        | the table that its table id says                                             |
| context_coded | the same table, corrected by what a context model knows of coded neighbors   |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import Ints, RangeCoder

LatentCoderName = Literal["fixed_length", "tables", "context_coded"]


def part_of(state: Mapping[str, NDArray[np.integer]], prefix: str) -> dict[str, NDArray[np.integer]]:
    """The arrays of a checkpoint whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): np.asarray(one) for name, one in state.items() if name.startswith(prefix)}


class Prediction(NamedTuple):
    """What a prior says of a latent: exact integers, and what symbols are distances from. Both [C, h, w]."""

    table_ids: Ints
    means: NDArray[np.float32]


class LatentCoder(Protocol):
    """Codes the symbols of a latent, either way."""

    @property
    def name(self) -> LatentCoderName:
        """As a file's header has it."""
        ...

    @property
    def label(self) -> str:
        """For tables of results: `name`, or the kind of the context model."""
        ...

    @property
    def least_bits(self) -> float:
        """What a symbol takes at least, whatever it and its table id are."""
        ...

    def code(self, coder: RangeCoder, symbols: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """Codes symbols int32 [C, h, w], of tables int [C, h, w]; returns them. A decoder takes only their shape.

        Raises ValueError for what cannot be coded; from a decoder, CorruptedError for what no encoder writes.
        """
        ...
