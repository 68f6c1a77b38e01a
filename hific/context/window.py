"""The neighbors that a pass knows, gathered as integer features.

latents [N, C, h, w] ─ canvas: minus the middle level, a margin of zeros around ─ features [n, F + 1]

F neighbors, and last the number of them that lie outside of the image.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hific.context.coding_order import CodingPass, is_known

Features = NDArray[np.int16]


class Neighbor(NamedTuple):
    """A symbol's place relative to the one to be coded; the channel is absolute."""

    channel: int
    row: int
    column: int


Window = tuple[Neighbor, ...]


@cache
def causal_window(step: CodingPass, num_channels: int, own_reach: int, cross_reach: int) -> Window:
    """The known neighbors of a pass: diamonds |row| + |column| <= reach in its own channel and in each other one.

    Reaches count in half spacings, the distance to the nearest symbols known when the pass is coded.
    """
    unit = step.spacing // 2
    neighbors = []
    for channel in range(num_channels):
        reach = own_reach if channel == step.channel else cross_reach
        for row in range(-reach, reach + 1):
            for column in range(abs(row) - reach, reach - abs(row) + 1):
                if is_known(step, channel, row * unit, column * unit):
                    neighbors.append(Neighbor(channel, row * unit, column * unit))
    return tuple(neighbors)


def margin_for(windows: Iterable[Window]) -> int:
    """The widest offset of all windows, in symbols."""
    return max((max(abs(n.row), abs(n.column)) for window in windows for n in window), default=0)


class Canvas:
    """N latents of one shape, being coded or already known. What is unknown or outside counts as the middle level.

    While coding, symbols appear here only once they are coded, in both directions: no feature can look ahead.
    """

    def __init__(self, shape: tuple[int, int, int, int], levels: int, margin: int) -> None:
        num_images, num_channels, self._height, self._width = shape
        self._margin = margin
        self._neutral = levels // 2
        padded = (num_images, num_channels, self._height + 2 * margin, self._width + 2 * margin)
        self._centered = np.zeros(padded, np.int16)

    @classmethod
    def filled(cls, latents: NDArray[np.integer], levels: int, margin: int) -> Canvas:
        """All symbols known: latents of integers 0..levels-1, [N, C, h, w]."""
        canvas = cls(latents.shape, levels, margin)
        canvas._inside()[...] = latents - canvas._neutral
        return canvas

    def features(self, step: CodingPass, window: Window) -> Features:
        """int16 [n, F + 1] for the n symbols of the pass: each neighbor's level, centered, and the count of those
        outside.
        """
        rows = np.arange(step.row, self._height, step.spacing)
        columns = np.arange(step.column, self._width, step.spacing)
        shape = (len(self._centered), len(rows), len(columns))
        by_neighbor = np.empty((len(window) + 1, *shape), np.int16)
        for index, (channel, row, column) in enumerate(window):
            top, left = self._margin + step.row + row, self._margin + step.column + column
            plane = self._centered[:, channel, top:, left:]
            by_neighbor[index] = plane[:, :: step.spacing, :: step.spacing][:, : len(rows), : len(columns)]
        by_neighbor[-1] = self._count_outside(rows, columns, window)
        return by_neighbor.reshape(len(window) + 1, -1).T

    def take(self, step: CodingPass) -> NDArray[np.int32]:
        """The symbols of the pass, int32 [n]."""
        return (self._pass_view(step) + np.int32(self._neutral)).ravel()

    def put(self, step: CodingPass, symbols: NDArray[np.int32]) -> None:
        """Makes the symbols [n] of the pass known."""
        view = self._pass_view(step)
        view[...] = symbols.reshape(view.shape) - self._neutral

    def latents(self) -> NDArray[np.int32]:
        """All symbols, int32 [N, C, h, w]."""
        return self._inside() + np.int32(self._neutral)

    def _inside(self) -> NDArray[np.int16]:
        margin = self._margin
        return self._centered[:, :, margin : margin + self._height, margin : margin + self._width]

    def _pass_view(self, step: CodingPass) -> NDArray[np.int16]:
        return self._inside()[:, step.channel, step.row :: step.spacing, step.column :: step.spacing]

    def _count_outside(self, rows: NDArray[np.int64], columns: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
        offsets = np.array(window, np.int64).reshape(-1, 3)
        row_inside = _is_inside(rows, offsets[:, 1], self._height)
        column_inside = _is_inside(columns, offsets[:, 2], self._width)
        return len(window) - row_inside.T @ column_inside


def _is_inside(places: NDArray[np.int64], offsets: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """1 where a place plus an offset is in 0..length-1: [offsets, places]."""
    moved = places[None, :] + offsets[:, None]
    return ((moved >= 0) & (moved < length)).astype(np.int64)
