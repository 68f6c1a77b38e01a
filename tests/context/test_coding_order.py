"""Laws of the coding order."""

from __future__ import annotations

import numpy as np
import pytest

from hific.context.coding_order import PHASES, CodingPass, coding_order, is_known, phase_grid


def ranks(num_channels: int, height: int, width: int) -> np.ndarray:
    """When each symbol is coded: the index of its pass, int [C, h, w]; -1 where no pass comes by."""
    order = np.full((num_channels, height, width), -1)
    for step in coding_order(num_channels):
        place = (step.channel, slice(step.row, None, step.spacing), slice(step.column, None, step.spacing))
        assert (order[place] == -1).all()
        order[place] = step.index
    return order


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (3, 2), (8, 8), (13, 9)])
def test_each_symbol_is_in_exactly_one_pass(height: int, width: int) -> None:
    assert (ranks(3, height, width) >= 0).all()


def test_the_order_is_as_drawn() -> None:
    assert phase_grid().tolist() == [[0, 5, 2, 5], [6, 4, 6, 4], [3, 5, 1, 5], [6, 4, 6, 4]]
    steps = coding_order(2)
    assert [step.index for step in steps] == list(range(2 * len(PHASES)))
    assert [(step.phase, step.channel) for step in steps[:3]] == [(0, 0), (0, 1), (1, 0)]
    assert steps[-1] == CodingPass(index=13, channel=1, phase=6)
    assert (steps[-1].spacing, steps[-1].row, steps[-1].column) == (2, 1, 0)


def test_known_is_what_an_earlier_pass_has_coded() -> None:
    num_channels, size = 2, 24
    order = ranks(num_channels, size, size)
    for step in coding_order(num_channels):
        inner = range(8 + step.row, 16, step.spacing), range(8 + step.column, 16, step.spacing)
        for channel in range(num_channels):
            for row in range(-4, 5):
                for column in range(-4, 5):
                    earlier = [order[channel, y + row, x + column] < step.index for y in inner[0] for x in inner[1]]
                    assert is_known(step, channel, row, column) == all(earlier)
