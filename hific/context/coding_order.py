"""In which order the symbols of a latent are coded: passes, each predicted and coded in one batch.

A pass is one channel at one phase of a 2x2 grid. The phases go (0,0), (1,1), (0,1), (1,0); phase (0,0), which would
know nothing of its own channel, is itself coded in such phases on the grid of twice the spacing. The numbers are the
phases in the order of coding:

    0 5 2 5        All channels of phase 0, then all channels of phase 1, and so on: a pass knows
    6 4 6 4        every channel of the earlier phases, and the earlier channels of its own phase.
    3 5 1 5
    6 4 6 4        Period 4x4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

PERIOD = 4
# (spacing, first row, first column) of each phase.
PHASES = ((4, 0, 0), (4, 2, 2), (4, 0, 2), (4, 2, 0), (2, 1, 1), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class CodingPass:
    """One batch: the symbols [channel, row::spacing, column::spacing], read row by row. `index` counts the passes."""

    index: int
    channel: int
    phase: int

    @property
    def spacing(self) -> int:
        return PHASES[self.phase][0]

    @property
    def row(self) -> int:
        return PHASES[self.phase][1]

    @property
    def column(self) -> int:
        return PHASES[self.phase][2]


@cache
def coding_order(num_channels: int) -> tuple[CodingPass, ...]:
    """The passes over a latent [num_channels, h, w]; each symbol is in exactly one."""
    return tuple(
        CodingPass(phase * num_channels + channel, channel, phase)
        for phase in range(len(PHASES))
        for channel in range(num_channels)
    )


def is_known(step: CodingPass, channel: int, row_offset: int, column_offset: int) -> bool:
    """Whether the neighbor of `channel` at that offset is coded before `step`, for each symbol of `step`."""
    rows = np.arange(step.row, PERIOD, step.spacing) + row_offset
    columns = np.arange(step.column, PERIOD, step.spacing) + column_offset
    last_phase = int(phase_grid()[np.ix_(rows % PERIOD, columns % PERIOD)].max())
    return (last_phase, channel) < (step.phase, step.channel)


@cache
def phase_grid() -> NDArray[np.int64]:
    """The phase of each place, int [PERIOD, PERIOD]."""
    grid = np.empty((PERIOD, PERIOD), np.int64)
    for phase in reversed(range(len(PHASES))):
        spacing, row, column = PHASES[phase]
        grid[row::spacing, column::spacing] = phase
    return grid
