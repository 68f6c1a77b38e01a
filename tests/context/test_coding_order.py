"""Laws of the coding order."""

from __future__ import annotations

import numpy as np
import pytest

from hific.context.coding_order import PHASES, CodingPass, Order, coding_order, known_channels, phase_grid

ORDERS: list[Order] = ["phases", "channels"]


def ranks(num_channels: int, num_groups: int, order: Order, height: int, width: int) -> np.ndarray:
    """When each symbol is coded: the index of its pass, int [C, h, w]; -1 where no pass comes by."""
    coded = np.full((num_channels, height, width), -1)
    for index, coding_pass in enumerate(coding_order(num_channels, num_groups, order)):
        assert coding_pass.index == index and coding_pass.first < coding_pass.end
        assert (coded[coding_pass.place] == -1).all()
        coded[coding_pass.place] = index
    return coded


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("num_channels", "num_groups"), [(1, 1), (3, 3), (5, 2), (12, 4), (7, 1), (9, 5)])
def test_each_symbol_is_in_exactly_one_pass(num_channels: int, num_groups: int, order: Order) -> None:
    assert len(coding_order(num_channels, num_groups, order)) == len(PHASES) * num_groups
    for height, width in ((1, 1), (1, 7), (3, 2), (8, 8), (13, 9)):
        assert (ranks(num_channels, num_groups, order, height, width) >= 0).all()


def test_the_order_is_as_drawn() -> None:
    assert phase_grid().tolist() == [[0, 5, 2, 5], [6, 4, 6, 4], [3, 5, 1, 5], [6, 4, 6, 4]]
    phases, channels = (
        [(coding_pass.phase, coding_pass.first, coding_pass.end) for coding_pass in coding_order(5, 2, order)]
        for order in ORDERS
    )
    assert phases[:3] == [(0, 0, 2), (0, 2, 5), (1, 0, 2)]
    assert channels[:2] == [(0, 0, 2), (1, 0, 2)] and channels[len(PHASES)] == (0, 2, 5)
    assert sorted(phases) == sorted(channels)
    last = coding_order(5, 2, "phases")[-1]
    assert last == CodingPass(13, 6, 2, 5) and (last.spacing, last.unit) == (2, 1)
    assert last.place == (slice(2, 5), slice(1, None, 2), slice(0, None, 2))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("num_channels", "num_groups"), [(2, 2), (3, 1), (3, 2), (4, 3)])
def test_known_is_what_earlier_passes_have_coded(num_channels: int, num_groups: int, order: Order) -> None:
    coded = ranks(num_channels, num_groups, order, 24, 24)
    for coding_pass in coding_order(num_channels, num_groups, order):
        _, row, column = PHASES[coding_pass.phase]
        rows, columns = (np.arange(8 + start, 16, coding_pass.spacing) for start in (row, column))
        for down in range(-5, 6):
            for across in range(-5, 6):
                there = coded[np.ix_(range(num_channels), rows + down, columns + across)]
                earlier = (there < coding_pass.index).all(axis=(1, 2))
                known = known_channels(coding_pass, num_channels, order, down, across)
                assert earlier.tolist() == [channel < known for channel in range(num_channels)]
