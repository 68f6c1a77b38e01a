"""Bars of a metric, a system each, as figures of papers have them: from zero, in HTML lines so that text keeps its size
at every width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hific.evaluation.columns import metric_column
from hific.evaluation.page.curves import COLORS
from hific.evaluation.page.series import Series
from hific.evaluation.page.tables import MainTable, heading, signed


@dataclass(frozen=True)
class Bar:
    """`left`, `width`: in percent of the longest; `is_pale`: a note says that it cannot be compared."""

    system: str
    text: str
    color: int
    left: str
    width: str
    is_pale: bool


@dataclass(frozen=True)
class BarGroup:
    """Of systems at the same bytes; without a title where there is one."""

    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class BarChart:
    heading: str
    groups: tuple[BarGroup, ...]


def bar_chart(series: Sequence[Series], table: MainTable, metric: str) -> BarChart:
    """In the order of the main table."""
    found = {one.system: (line, one) for line in series for one in line.members}
    values = {name: one.metric(metric).value for name, (_, one) in found.items()}
    known = [value for value in values.values() if value is not None and math.isfinite(value)]
    low, high = min([0.0, *known]), max([0.0, *known])

    def bar(name: str, shown: str) -> Bar:
        line, one = found[name]
        return _bar(shown, values[name], metric, low, high, line.number % COLORS, is_pale=bool(one.notes))

    groups = [
        BarGroup(
            group.title, tuple(bar(line.name, line.short_name if group.title else line.name) for line in group.lines)
        )
        for group in table.groups
    ]
    return BarChart(heading(metric), tuple(groups))


def _bar(name: str, value: float | None, metric: str, low: float, high: float, color: int, *, is_pale: bool) -> Bar:
    """Between zero and the value, in an axis from `low` to `high`."""
    span = (high - low) or 1.0
    left, right = sorted((0.0, min(max(value or 0.0, low), high)))
    text = "absent" if value is None else signed(value, metric_column(metric).digits)
    return Bar(name, text, color, f"{100 * (left - low) / span:.2f}%", f"{100 * (right - left) / span:.2f}%", is_pale)
