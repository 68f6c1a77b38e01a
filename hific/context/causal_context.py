"""What is known around the symbols of a pass, gathered as integers.

    symbols [N, C, h, w] ─┬─ clipped to +-127 ──────────── values, a margin of zeros around ─┬─ all channels: rows
    table_ids ────────────┴─ |symbol| - expected, 1/64 ─── magnitude residuals, the same     └─ own channel: windows

Magnitude residuals say how much larger or smaller symbols are than their tables expect: of a neighborhood, whether the
tables are too sure of themselves there. What is not coded yet, or outside of the image, counts as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import Ints
from hific.context.coding_order import CodingPass, Order, coding_order, known_channels

# Of magnitude residuals, and of the values and magnitude residuals that are predicted.
UNIT = 64
VALUE_LIMIT = 127
# Each group takes seven passes; beyond, what passes look at takes seconds to find.
MAX_GROUPS = 256
_INT16 = np.iinfo(np.int16)

Source = Literal["values", "magnitude_residuals"]


@dataclass(frozen=True)
class ContextOptions:
    """What a symbol is predicted from.

    Args:
        num_channels: C of the latents.
        num_groups: parts of the channels, coded one after another: more know more, and take more passes.
        order: see `coding_order`.
        reach: to how far away all channels are looked at, in the distances between known symbols.
        side: of the window in the own channel; the paper's x is 7. 1 for none.
        location: whether channel and place in the image are features, the paper's s.
    """

    num_channels: int
    num_groups: int = 4
    order: Order = "phases"
    reach: int = 1
    side: int = 7
    location: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.num_groups <= min(self.num_channels, MAX_GROUPS) or self.order not in ("phases", "channels"):
            raise ValueError(f"{self.num_groups} groups of {self.num_channels} channels, order={self.order!r}")
        if not 0 <= self.reach <= 4:
            raise ValueError(f"reach={self.reach} does not lie in 0..4")
        if self.side not in (1, 3, 5, 7, 9):
            raise ValueError(f"side={self.side} is none of 1, 3, 5, 7, 9")

    @cached_property
    def passes(self) -> tuple[CodingPass, ...]:
        return coding_order(self.num_channels, self.num_groups, self.order)

    @property
    def margin(self) -> int:
        """As far as any pass looks; spacings are at most 4."""
        return 2 * max(self.reach, self.side // 2)

    @property
    def num_features(self) -> int:
        return 4 + 3 * self.location + self.side**2 - 1

    def known(self, coding_pass: CodingPass, row: int, column: int) -> int:
        """How many channels are, at this offset in units; see `known_channels`."""
        offset = row * coding_pass.unit, column * coding_pass.unit
        return known_channels(coding_pass, self.num_channels, self.order, *offset)

    def offsets(self, reach: int) -> list[tuple[int, int]]:
        around = range(-reach, reach + 1)
        return [(row, column) for row in around for column in around if (row, column) != (0, 0)]

    def neighbors(self, coding_pass: CodingPass) -> list[tuple[int, int, int]]:
        """(row, column, known channels) in units, for each offset within `reach` where any is known; the place last."""
        return self._neighbors[coding_pass.index]

    @cached_property
    def _neighbors(self) -> list[list[tuple[int, int, int]]]:
        """Of each pass: asked for at every one, and slow to find."""
        found = []
        for coding_pass in self.passes:
            known = [(row, column, self.known(coding_pass, row, column)) for row, column in self.offsets(self.reach)]
            found.append([*(one for one in known if one[2]), (0, 0, coding_pass.first)])
        return found

    @cached_property
    def windows(self) -> list[list[tuple[int, int, bool]]]:
        """Of each pass: (row, column, whether the own channel is known there) over the window."""
        offsets = self.offsets(self.side // 2)
        return [
            [(*offset, self.known(coding_pass, *offset) >= coding_pass.end) for offset in offsets]
            for coding_pass in self.passes
        ]


class CausalContext:
    """N latents of one shape, being coded or already known, their table_ids int [N, C, h, w].

    expected_magnitudes: int [T], mean |symbol| of each table, in 1/64; bin_widths: int [T], see `SymbolBins`.

    Symbols appear here once they are coded, in both directions, and then only.
    """

    def __init__(
        self,
        options: ContextOptions,
        table_ids: NDArray[np.integer],
        expected_magnitudes: NDArray[np.integer],
        bin_widths: NDArray[np.integer],
    ) -> None:
        self.options = options
        self.table_ids = table_ids
        self._expected_magnitudes, self._bin_widths = expected_magnitudes, bin_widths
        batch, channels, height, width = table_ids.shape
        margin = options.margin
        padded = (batch, channels, height + 2 * margin, width + 2 * margin)
        self._canvas: dict[Source, NDArray[np.int16]] = {
            "values": np.zeros(padded, np.int16),
            "magnitude_residuals": np.zeros(padded, np.int16),
        }

    def put(self, place: tuple[slice, slice, slice], symbols: NDArray[np.integer], known: NDArray[np.bool_]) -> None:
        """Makes those of the symbols [N, .., .., ..] at `place` known that `known` says."""
        values = np.clip(symbols, -VALUE_LIMIT, VALUE_LIMIT)
        residuals = np.abs(values) * UNIT - self._expected_magnitudes[self.table_ids[(slice(None), *place)]]
        found: dict[Source, NDArray[np.integer]] = {
            "values": values,
            "magnitude_residuals": np.clip(residuals, _INT16.min, _INT16.max),
        }
        for source, numbers in found.items():
            view = self._inside(source)[(slice(None), *place)]
            view[...] = np.where(known, numbers, view)

    def rows(self, source: Source, coding_pass: CodingPass, neighbor: tuple[int, int, int]) -> NDArray[np.float64]:
        """What the known channels hold at `neighbor`, one of `ContextOptions.neighbors`, of each symbol of the pass:
        float64 [known channels, N * places], integers.
        """
        row, column, known = neighbor
        there = self._shifted(source, coding_pass, row, column, slice(0, known))
        batch, _, height, width = there.shape
        return there.transpose(1, 0, 2, 3).reshape(known, batch * height * width).astype(float)

    def features(
        self, coding_pass: CodingPass, chosen: NDArray[np.bool_], value: Ints, magnitude_residual: Ints
    ) -> NDArray[np.int16]:
        """int16 [n, F] of the `chosen` symbols, bool [N, channels, rows, columns].

        table id, predicted value and magnitude residual (of `chosen`, in 1/64), pass; then channel and place where the
        options say so; then the window in the own channel, row by row, 0 where nothing is known. Values and magnitude
        residuals count in bins of the symbol's own table, so that wide tables look to a context model as narrow ones
        do.
        """
        options = self.options
        table = np.empty((options.num_features, len(value)), np.int16)
        table[0] = self.table_ids[(slice(None), *coding_pass.place)][chosen]
        widths = self._bin_widths[table[0]]
        wide = np.flatnonzero(widths > 1)
        table[1], table[2] = (np.clip(one // widths, _INT16.min, _INT16.max) for one in (value, magnitude_residual))
        table[3] = coding_pass.index
        filled = 4
        if options.location:
            _, channels, rows, columns = np.nonzero(chosen)
            height, width = self._size
            table[4] = channels + coding_pass.first
            table[5] = np.arange(height)[coding_pass.place[1]][rows] * 256 // height
            table[6] = np.arange(width)[coding_pass.place[2]][columns] * 256 // width
            filled = 7
        for index, (row, column, is_known) in enumerate(options.windows[coding_pass.index], filled):
            if is_known:
                table[index] = self._shifted("values", coding_pass, row, column, coding_pass.place[0])[chosen]
                table[index, wide] = (table[index, wide] + widths[wide] // 2) // widths[wide]
            else:
                table[index] = 0
        return table.T

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self.table_ids.shape[2:]
        return height, width

    def _inside(self, source: Source) -> NDArray[np.int16]:
        margin, (height, width) = self.options.margin, self._size
        return self._canvas[source][:, :, margin : margin + height, margin : margin + width]

    def _shifted(
        self, source: Source, coding_pass: CodingPass, row: int, column: int, channels: slice
    ) -> NDArray[np.int16]:
        """What lies `row`, `column` units from the symbols of the pass: a view [N, channels, rows, columns]."""
        margin, (height, width) = self.options.margin, self._size
        _, rows, columns = coding_pass.place
        top, left = margin + row * coding_pass.unit, margin + column * coding_pass.unit
        plane = self._canvas[source][:, channels, top : top + height, left : left + width]
        return plane[:, :, rows, columns]
