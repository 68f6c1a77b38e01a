"""What all channels around a symbol say of it, in two numbers: the value to expect, and how large it may be.

    values [D, n] ────────────── weights of the pass [channels, D] ── value               int32 [channels, n], in 1/64
    magnitude residuals [D, n] ─ weights of the pass [channels, D] ── magnitude residual  int32 [channels, n], in 1/64

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

from hific.coding.range_coder import Ints
from hific.context.causal_context import UNIT, CausalContext, ContextOptions, Source
from hific.context.coding_order import CodingPass

WEIGHT_BITS = 12


@dataclass(frozen=True)
class LinearPrediction:
    """Made by `PredictionMoments.solve`. values, magnitude_residuals: int16, the weights of all passes one behind
    another, with 12 bits of fraction; each pass's are [channels, D]. Raises ValueError where they are not as many as
    `options` ask for.
    """

    options: ContextOptions
    values: NDArray[np.int16]
    magnitude_residuals: NDArray[np.int16]

    def __post_init__(self) -> None:
        due = self._bounds[-1]
        for weights in (self.values, self.magnitude_residuals):
            if weights.dtype != np.int16 or weights.shape != (due,):
                raise ValueError(f"linear prediction: {due} int16 are due, not {weights.dtype} {weights.shape}")

    def state(self) -> dict[str, NDArray[np.int16]]:
        return {"values": self.values, "magnitude_residuals": self.magnitude_residuals}

    @classmethod
    def from_state(cls, options: ContextOptions, state: Mapping[str, NDArray[np.integer]]) -> LinearPrediction:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        return cls(options, np.asarray(state["values"]), np.asarray(state["magnitude_residuals"]))

    def weights(self, source: Source, coding_pass: CodingPass) -> NDArray[np.int16]:
        """A view [channels, D]."""
        start, end = self._bounds[coding_pass.index : coding_pass.index + 2]
        all_passes: NDArray[np.int16] = getattr(self, source)
        return all_passes[start:end].reshape(weight_shape(self.options, coding_pass))

    @cached_property
    def _bounds(self) -> list[int]:
        """Where each pass's weights begin, and where the last's end."""
        sizes = [int(np.prod(weight_shape(self.options, coding_pass))) for coding_pass in self.options.passes]
        return [0, *accumulate(sizes)]

    def of_chosen(
        self, coding_pass: CodingPass, context: CausalContext, chosen: NDArray[np.bool_]
    ) -> tuple[Ints, Ints]:
        """(value, magnitude residual), int32 [n] in 1/64, of those `chosen`, bool [N, channels, rows, columns]."""
        return (
            self.expected("values", coding_pass, context)[chosen],
            self.expected("magnitude_residuals", coding_pass, context)[chosen],
        )

    def expected(self, source: Source, coding_pass: CodingPass, context: CausalContext) -> Ints:
        """int32 [N, channels, rows, columns] for the symbols of the pass, in 1/64."""
        weights = self.weights(source, coding_pass).astype(float)
        batch, channels, height, width = context.table_ids[(slice(None), *coding_pass.place)].shape
        sums, done = np.zeros((channels, batch * height * width)), 0
        # One neighbor at a time: all together are large.
        for neighbor in self.options.neighbors(coding_pass):
            rows = context.rows(source, coding_pass, neighbor)
            sums += weights[:, done : done + len(rows)] @ rows
            done += len(rows)
        # Values count in whole symbols, magnitude residuals in 1/64 already.
        unit = UNIT if source == "values" else 1
        expected = np.rint(sums * (unit * 2.0**-WEIGHT_BITS)).astype(np.int32)
        return expected.reshape(channels, batch, height, width).transpose(1, 0, 2, 3)


def weight_shape(options: ContextOptions, coding_pass: CodingPass) -> tuple[int, int]:
    return coding_pass.end - coding_pass.first, sum(known for _, _, known in options.neighbors(coding_pass))
