"""In which order a latent of many channels is coded: blocks of channels at one phase of the grid, a batch each.

The phases are those of `coding_order`; channels are parted into groups, in their order. Either loop may be the outer:

    phases     all groups of phase 0, then all groups of phase 1, ..      a pass knows every channel of earlier phases
    channels   all phases of group 0, then all phases of group 1, ..      a pass knows every place of earlier groups
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np

from hific.context.coding_order import PERIOD, PHASES, phase_grid

Order = Literal["phases", "channels"]


@dataclass(frozen=True)
class BlockPass:
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
def block_order(num_channels: int, num_groups: int, order: Order) -> tuple[BlockPass, ...]:
    """The passes over a latent [num_channels, h, w]; each symbol is in exactly one."""
    bounds = [num_channels * group // num_groups for group in range(num_groups + 1)]
    groups = list(pairwise(bounds))
    phases = range(len(PHASES))
    if order == "phases":
        blocks = [(phase, group) for phase in phases for group in groups]
    else:
        blocks = [(phase, group) for group in groups for phase in phases]
    return tuple(BlockPass(index, phase, *group) for index, (phase, group) in enumerate(blocks))


@cache
def known_channels(step: BlockPass, num_channels: int, order: Order, row: int, column: int) -> int:
    """How many channels, from the first on, are coded before `step` at this offset from each of its symbols."""
    _, first_row, first_column = PHASES[step.phase]
    rows = np.arange(first_row, PERIOD, step.spacing) + row
    columns = np.arange(first_column, PERIOD, step.spacing) + column
    last_phase = int(phase_grid()[np.ix_(rows % PERIOD, columns % PERIOD)].max())
    if last_phase < step.phase:
        return num_channels if order == "phases" else step.end
    if last_phase == step.phase or order == "channels":
        return step.first
    return 0
