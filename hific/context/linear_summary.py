"""What all channels around a symbol say of it, in two numbers: the value to expect, and how large it may be.

    rows of values [D, n] ── weights of the pass [channels, D] ── expected value  int32 [channels, n], in 1/64
    rows of excess [D, n] ── weights of the pass [channels, D] ── expected excess int32 [channels, n], in 1/64

D is hundreds to thousands: the known channels at every place within reach. Everything is an integer, and the sums are
exact in float64 in any order, so that the fast matrix products of any machine give the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hific.context.block_order import BlockPass
from hific.context.neighborhood import UNIT, Ints, Neighborhood, NeighborOptions, Source

WEIGHT_BITS = 12


@dataclass(frozen=True)
class LinearSummary:
    """Made by `fit_linear_summary`. values, excess: int16, the weights of all passes one behind another, with 12 bits
    of fraction; each pass's are [channels, D]. Raises ValueError where they are not as many as `options` ask for.
    """

    options: NeighborOptions
    values: NDArray[np.int16]
    excess: NDArray[np.int16]

    def __post_init__(self) -> None:
        due = self._bounds[-1]
        for weights in (self.values, self.excess):
            if weights.dtype != np.int16 or weights.shape != (due,):
                raise ValueError(f"neighbor weights: {due} int16 are due, not {weights.dtype} {weights.shape}")

    def state(self) -> dict[str, NDArray[np.int16]]:
        return {"values": self.values, "excess": self.excess}

    @classmethod
    def from_state(cls, options: NeighborOptions, state: Mapping[str, NDArray[np.integer]]) -> LinearSummary:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        return cls(options, np.asarray(state["values"]), np.asarray(state["excess"]))

    def weights(self, source: Source, step: BlockPass) -> NDArray[np.int16]:
        """A view [channels, D]."""
        start, end = self._bounds[step.index : step.index + 2]
        all_passes: NDArray[np.int16] = getattr(self, source)
        return all_passes[start:end].reshape(weight_shape(self.options, step))

    @cached_property
    def _bounds(self) -> list[int]:
        """Where each pass's weights begin, and where the last's end."""
        sizes = [int(np.prod(weight_shape(self.options, step))) for step in self.options.steps]
        return [0, *accumulate(sizes)]

    def expected(self, source: Source, step: BlockPass, neighborhood: Neighborhood) -> Ints:
        """int32 [N, channels, rows, columns] for the symbols of the pass, in 1/64."""
        weights = self.weights(source, step).astype(float)
        batch, channels, height, width = neighborhood.table_ids[(slice(None), *step.place)].shape
        sums, done = np.zeros((channels, batch * height * width)), 0
        # One neighbor at a time: all together are large.
        for neighbor in self.options.neighbors(step):
            rows = neighborhood.rows(source, step, neighbor)
            sums += weights[:, done : done + len(rows)] @ rows
            done += len(rows)
        # Values count in whole symbols, excess in 1/64 already.
        unit = UNIT if source == "values" else 1
        expected = np.rint(sums * (unit * 2.0**-WEIGHT_BITS)).astype(np.int32)
        return expected.reshape(channels, batch, height, width).transpose(1, 0, 2, 3)


def weight_shape(options: NeighborOptions, step: BlockPass) -> tuple[int, int]:
    return step.end - step.first, sum(known for _, _, known in options.neighbors(step))
