"""Each symbol by the table that its table id says: HiFiC's hyperprior, CompressNet's table a channel, side planes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.latent_coders.base import LatentCoderName


@dataclass(frozen=True)
class TablesCoder:
    """The stream holds the symbols by rising table id, within one in the order [C, h, w]; then the escapes."""

    tables: SymbolTables

    @property
    def name(self) -> LatentCoderName:
        return "tables"

    @property
    def label(self) -> str:
        return self.name

    @property
    def least_bits(self) -> float:
        return float(self.tables.least_bits.min())

    def code(self, coder: RangeCoder, symbols: Ints, table_ids: NDArray[np.integer]) -> Ints:
        """As `LatentCoder.code`; any int32 codes."""
        if symbols.shape != table_ids.shape:
            raise ValueError(f"a latent {symbols.shape}, but table ids {table_ids.shape}")
        return self.tables.code(coder, symbols.ravel(), table_ids.ravel()).reshape(symbols.shape)
