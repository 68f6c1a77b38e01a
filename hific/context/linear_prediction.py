"""What all channels around a symbol say of it, in two numbers: the value to expect, and how large it may be.

    values [D, n] ────────────── weights of the pass [channels, D] ── value               int32 [channels, n], in 1/64
    magnitude residuals [D, n] ─ weights of the pass [channels, D] ── magnitude residual  int32 [channels, n], in 1/64

D is hundreds to thousands: the known channels at every place within reach. Everything is an integer, and the sums are
exact in float64 in any order, so that the fast matrix products of any machine give the same.

The weights are fitted to training latents: ridge regression of each symbol on what is known then. A sum of products
over all places, once per phase, holds what every group of channels needs: rows and columns of the channels that it
knows on the one side, its own channels on the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import Ints
from hific.context.causal_context import UNIT, CausalContext, ContextOptions, Source
from hific.context.coding_order import PHASES, CodingPass

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


Moments = NDArray[np.float64]
# Ridge: in places, and as a share of them.
RIDGE_PLACES, RIDGE_SHARE = 50.0, 0.002
_INT16 = np.iinfo(np.int16)
_SOURCES: tuple[Source, ...] = ("values", "magnitude_residuals")


@dataclass
class PredictionMoments:
    """Sums of products of all that the passes of a phase know, for each source and phase; add up over photos."""

    options: ContextOptions
    sums: dict[tuple[Source, int], Moments]
    places: dict[int, int]

    @classmethod
    def of(cls, options: ContextOptions, photos: Iterable[CausalContext]) -> PredictionMoments:
        """`photos`: contexts in which every symbol is known."""
        moments = cls(options, {}, dict.fromkeys(range(len(PHASES)), 0))
        for photo in photos:
            for phase in range(len(PHASES)):
                whole = _whole_pass(options, phase)
                for source in _SOURCES:
                    rows = np.concatenate([photo.rows(source, whole, one) for one in _union(options, phase)])
                    moments.sums[source, phase] = moments.sums.get((source, phase), 0.0) + rows @ rows.T
                moments.places[phase] += rows.shape[1]
        return moments

    def __add__(self, other: PredictionMoments) -> PredictionMoments:
        sums = {key: self.sums[key] + other.sums[key] for key in self.sums}
        return PredictionMoments(self.options, sums, {key: self.places[key] + other.places[key] for key in self.places})

    def solve(self) -> LinearPrediction:
        weights = {
            source: np.concatenate([self._weights(source, coding_pass).ravel() for coding_pass in self.options.passes])
            for source in _SOURCES
        }
        return LinearPrediction(self.options, weights["values"], weights["magnitude_residuals"])

    def _weights(self, source: Source, coding_pass: CodingPass) -> NDArray[np.int16]:
        known, own = self._columns(coding_pass)
        sums, places = self.sums[source, coding_pass.phase], self.places[coding_pass.phase]
        normal_matrix = sums[np.ix_(known, known)]
        # In units of the largest mean square, so that symbols and their 64ths are treated alike.
        unit = max(float(normal_matrix.diagonal().max(initial=0)) / max(places, 1), 1e-9)
        ridge = (RIDGE_PLACES + RIDGE_SHARE * places) * min(unit, 1.0 if source == "values" else 64.0**2)
        normal_matrix[np.diag_indices(len(known))] += ridge
        solution = np.linalg.solve(normal_matrix, sums[np.ix_(known, own)]).T
        return np.clip(np.rint(solution * 2.0**WEIGHT_BITS), _INT16.min, _INT16.max).astype(np.int16)

    def _columns(self, coding_pass: CodingPass) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the pass's known channels are among those of its phase, and its own."""
        starts, total = {}, 0
        for row, column, known in _union(self.options, coding_pass.phase):
            starts[row, column] = total
            total += known
        columns = [starts[row, column] + np.arange(count) for row, column, count in self.options.neighbors(coding_pass)]
        return np.concatenate(columns), starts[0, 0] + np.arange(coding_pass.first, coding_pass.end)


def _union(options: ContextOptions, phase: int) -> list[tuple[int, int, int]]:
    """What any pass of the phase knows, and all channels of its own place, last."""
    most: dict[tuple[int, int], int] = {}
    for coding_pass in _passes(options, phase):
        for row, column, known in options.neighbors(coding_pass):
            most[row, column] = max(most.get((row, column), 0), known)
    del most[0, 0]
    return [*((row, column, known) for (row, column), known in most.items()), (0, 0, options.num_channels)]


def _passes(options: ContextOptions, phase: int) -> Sequence[CodingPass]:
    return [coding_pass for coding_pass in options.passes if coding_pass.phase == phase]


def _whole_pass(options: ContextOptions, phase: int) -> CodingPass:
    return CodingPass(-1, phase, 0, options.num_channels)
