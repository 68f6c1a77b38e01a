"""The prior of a latent of few levels without a hyper-latent: a table per channel, the middle level as the mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import normalize_counts
from hific.coding.range_coder import RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.latent_coders.base import Prediction

Ints = NDArray[np.int32]


@dataclass(frozen=True)
class ChannelPrior:
    """A `Prior`: symbol s of channel c is a level less the middle one, coded by table c. ValueError for tables that
    are not all of the same, odd number of levels around 0."""

    tables: SymbolTables

    def __post_init__(self) -> None:
        levels = int(self.tables.sizes[0])
        if levels % 2 == 0 or (self.tables.sizes != levels).any() or (self.tables.offsets != -(levels // 2)).any():
            raise ValueError("channel prior: the tables are not of one odd number of levels around 0")

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64]) -> ChannelPrior:
        """counts int64 [C, levels]: how often each level occurred in each channel."""
        num_channels, levels = counts.shape
        # The escape, which nothing uses, takes one of 2**16.
        frequencies = normalize_counts(np.append(counts, np.zeros((num_channels, 1), np.int64), axis=1))
        offsets = np.full(num_channels, -(levels // 2), np.int32)
        return cls(SymbolTables(offsets, np.full(num_channels, levels, np.int32), frequencies.ravel()))

    @property
    def latent_channels(self) -> int:
        return len(self.tables)

    @property
    def num_levels(self) -> int:
        return int(self.tables.sizes[0])

    @property
    def lowest_symbol(self) -> int:
        return -(self.num_levels // 2)

    @property
    def highest_symbol(self) -> int:
        return self.num_levels // 2

    def code_hyper_symbols(self, coder: RangeCoder, hyper_symbols: Ints) -> Ints:
        if hyper_symbols.size:
            raise ValueError(f"hyper-symbols {hyper_symbols.shape}, and there are none of this model")
        return hyper_symbols

    def predict(self, hyper_symbols: Ints, height: int, width: int) -> Prediction:
        shape = (self.latent_channels, height, width)
        return Prediction(table_ids=channel_ids(shape), means=np.zeros(shape, np.float32))

    def state(self) -> dict[str, NDArray[np.integer]]:
        return dict(self.tables.state())

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.integer]]) -> ChannelPrior:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        return cls(SymbolTables.from_state(state))


def channel_ids(shape: tuple[int, int, int]) -> Ints:
    """Each symbol's channel, int32 [C, h, w]."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.int32)[:, None, None], shape)
