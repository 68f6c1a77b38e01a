"""What is one line of a chart and has one color in all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hific.evaluation.means import SystemSummary

# The suite's names of rates, as in "hific-xgboost-low": systems that differ in nothing else are one line.
_RATE = re.compile(r"(^|[-_ ])(low|medium|high)(?=$|[-_ ,])")


@dataclass(frozen=True)
class Series:
    """`number`: its color and marker."""

    number: int
    name: str
    is_learned: bool
    members: tuple[SystemSummary, ...]


def chart_series(summaries: Sequence[SystemSummary]) -> list[Series]:
    """In the order of their first system."""
    members: dict[str, list[SystemSummary]] = {}
    for one in summaries:
        members.setdefault(_name(one), []).append(one)
    return [
        Series(number, name, bool(those[0].rows[0].fingerprint), tuple(those))
        for number, (name, those) in enumerate(members.items())
    ]


def _name(summary: SystemSummary) -> str:
    """A classical codec is a line over its limits. Learned systems go by their labels: variants of a study share the
    name of their codec."""
    first = summary.rows[0]
    if not first.fingerprint:
        return first.codec if first.max_bytes is not None else summary.system
    label, comma, rest = summary.system.partition(",")
    base = _RATE.sub("", label).strip("-_ ") or _RATE.sub("", first.codec).strip("-_ ") or label
    return f"{base}{comma}{rest}"
