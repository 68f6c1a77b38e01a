"""In which order a latent of many channels is coded: passes, each predicted and coded in one batch.

A pass is a group of channels at one phase of a 2x2 grid. The phases go (0,0), (1,1), (0,1), (1,0); phase (0,0), which
would know nothing of its own channels, is itself coded in such phases on the grid of twice the spacing. The numbers are
the phases in the order of coding:

    0 5 2 5
    6 4 6 4
    3 5 1 5
    6 4 6 4        Period 4x4.

Channels are parted into groups, in their order. Either loop may be the outer:

    phases     all groups of phase 0, then all groups of phase 1, ..      a pass knows every channel of earlier phases
    channels   all phases of group 0, then all phases of group 1, ..      a pass knows every place of earlier groups
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["phases", "channels"]

PERIOD = 4
# (spacing, first row, first column) of each phase.
PHASES = ((4, 0, 0), (4, 2, 2), (4, 0, 2), (4, 2, 0), (2, 1, 1), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class CodingPass:
    """One batch: the symbols [first:end, row::spacing, column::spacing]. `index` counts the passes."""

    index: int
    phase: int
    first: int
    end: int

    @property
    def spacing(self) -> int:
        return PHASES[self.phase][0]

    @property
    def unit(self) -> int:
        """Half the spacing: how far the nearest symbols are that earlier phases hold."""
        return self.spacing // 2

    @property
    def place(self) -> tuple[slice, slice, slice]:
        """Where its symbols are in a latent [C, h, w]."""
        spacing, row, column = PHASES[self.phase]
        return slice(self.first, self.end), slice(row, None, spacing), slice(column, None, spacing)


@cache
def coding_order(num_channels: int, num_groups: int, order: Order) -> tuple[CodingPass, ...]:
    """The passes over a latent [num_channels, h, w]; each symbol is in exactly one."""
    bounds = [num_channels * group // num_groups for group in range(num_groups + 1)]
    groups = list(pairwise(bounds))
    phases = range(len(PHASES))
    if order == "phases":
        blocks = [(phase, group) for phase in phases for group in groups]
    else:
        blocks = [(phase, group) for group in groups for phase in phases]
    return tuple(CodingPass(index, phase, *group) for index, (phase, group) in enumerate(blocks))


def known_channels(coding_pass: CodingPass, num_channels: int, order: Order, row: int, column: int) -> int:
    """How many channels, from the first on, are coded before `coding_pass` at this offset from each of its symbols."""
    last_phase = _last_phase(coding_pass.phase, row % PERIOD, column % PERIOD)
    if last_phase < coding_pass.phase:
        return num_channels if order == "phases" else coding_pass.end
    if last_phase == coding_pass.phase or order == "channels":
        return coding_pass.first
    return 0


@cache
def _last_phase(phase: int, row: int, column: int) -> int:
    """The last of the phases that lie at this offset from the places of a phase."""
    spacing, first_row, first_column = PHASES[phase]
    rows = np.arange(first_row, PERIOD, spacing) + row
    columns = np.arange(first_column, PERIOD, spacing) + column
    return int(phase_grid()[np.ix_(rows % PERIOD, columns % PERIOD)].max())


@cache
def phase_grid() -> NDArray[np.int64]:
    """The phase of each place, int [PERIOD, PERIOD]."""
    grid = np.empty((PERIOD, PERIOD), np.int64)
    for phase in reversed(range(len(PHASES))):
        spacing, row, column = PHASES[phase]
        grid[row::spacing, column::spacing] = phase
    return grid
