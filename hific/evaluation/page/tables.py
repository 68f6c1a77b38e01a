"""The main table as its page shows it: means, and the difference of each from a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hific.evaluation.columns import metric_column, metric_names
from hific.evaluation.equal_bytes import Difference
from hific.evaluation.means import SystemSummary
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.comparisons import RateGroup, Reference

# What stands in every headline, so that nothing is judged by the metrics that it wins; MSE says what PSNR does.
FIRST = ("psnr", "lpips_alex", "lpips_squeeze", "ms_ssim", "ssimulacra2", "perceptual_loss", "fsimc", "color_error")
LAST = ("mse",)
MARKS = {"better": "✓", "worse": "✗", "level": "≈"}
WORDS = {"better": "better", "worse": "worse", "level": "not told apart"}
MINUS = "−"


@dataclass(frozen=True)
class DifferenceCell:
    """`verdict`: better, worse or level, of the system whose cell it is."""

    verdict: str
    mark: str
    words: str
    mean: str
    interval: str
    n: str


@dataclass(frozen=True)
class ValueCell:
    """`differences`: one for each reference, None where there is no pair."""

    heading: str
    text: str
    is_best: bool = False
    reason: str = ""
    differences: tuple[DifferenceCell | None, ...] = ()


@dataclass(frozen=True)
class SystemLine:
    """`more_bytes`: than the reference's, where each is compared at its own."""

    name: str
    short_name: str
    is_learned: bool
    num_bytes: str
    is_smallest: bool
    bpp: str
    more_bytes: str
    notes: str
    cells: tuple[ValueCell, ...]


@dataclass(frozen=True)
class LineGroup:
    """`title`: empty where there is one group of systems that have nothing in common."""

    title: str
    lines: tuple[SystemLine, ...]


@dataclass(frozen=True)
class Score:
    """How often, of all systems and metrics, what a reference is compared with is better or worse."""

    label: str
    better: int
    worse: int
    level: int


@dataclass(frozen=True)
class MainTable:
    """`has_matched`: some systems were coded at the largest size not above another's. `at_own_bytes`: those that are
    compared differ in bytes."""

    headings: tuple[str, ...]
    groups: tuple[LineGroup, ...]
    scores: tuple[Score, ...]
    has_matched: bool
    at_own_bytes: bool


def shown_metrics(rows: Sequence[Measurement]) -> list[str]:
    """All measured ones that have a better and a worse, also those that lose."""
    measured = {name for row in rows for name in row.metrics}
    others = [name for name in metric_names(rows) if name not in (*FIRST, *LAST)]
    names = [*FIRST, *others, *LAST]
    return [name for name in names if name in measured and metric_column(name).higher_is_better is not None]


def heading(metric: str) -> str:
    """With an arrow towards better, which stays on the line."""
    return metric_column(metric).heading.replace(" ↑", "\u00a0↑").replace(" ↓", "\u00a0↓")


def main_table(
    summaries: Sequence[SystemSummary], groups: Sequence[RateGroup], found: Sequence[Reference], metrics: Sequence[str]
) -> MainTable:
    """`summaries`: without next sizes."""
    by_name = {one.system: one for one in summaries}
    # systems of which no two have equal bytes, as variants of a study, are one block
    parts = [(group.members, _title(group, by_name)) for group in groups]
    if all(len(members) == 1 for members, _ in parts):
        parts = [(tuple(by_name), "")]
    lines = tuple(
        LineGroup(title, _lines([by_name[name] for name in part], found, metrics, is_at_equal_bytes=bool(title)))
        for part, title in parts
    )
    return MainTable(
        tuple(map(heading, metrics)),
        lines,
        tuple(map(_score, found)),
        has_matched=any(group.matched for group in groups),
        at_own_bytes=any(not one.at_equal_bytes for one in found),
    )


def _title(group: RateGroup, by_name: dict[str, SystemSummary]) -> str:
    bpp = by_name[group.members[0]].mean(lambda row: row.bpp) or 0.0
    if not group.leaders:
        limit = by_name[group.matched[0]].mean(lambda row: row.max_bytes) or 0.0
        return f"at most {limit:,.0f} bytes"
    return f"{bpp:.3f} bpp: the bytes of {group.leaders[0]}" if group.matched else f"{bpp:.3f} bpp"


def _lines(
    summaries: Sequence[SystemSummary],
    found: Sequence[Reference],
    metrics: Sequence[str],
    *,
    is_at_equal_bytes: bool,
) -> tuple[SystemLine, ...]:
    best = {name: _best(summaries, name) for name in metrics}
    sizes = {one.system: one.mean(lambda row: row.num_bytes) or 0.0 for one in summaries}
    own = {name: sizes[one.label] for one in found if not one.at_equal_bytes for name in one.of}
    smallest = None if is_at_equal_bytes or len(set(sizes.values())) < 2 else min(sizes.values())
    return tuple(
        SystemLine(
            one.system,
            one.system.partition(" <= ")[0],
            bool(one.rows and one.rows[0].fingerprint),
            f"{sizes[one.system]:,.0f}",
            smallest is not None and sizes[one.system] == smallest,
            f"{one.mean(lambda row: row.bpp) or 0:.4f}",
            f"{signed(100 * (sizes[one.system] / own[one.system] - 1), 1, plus=True)} %" if one.system in own else "",
            "; ".join(one.notes),
            tuple(_value_cell(one, name, best[name], found) for name in metrics),
        )
        for one in summaries
    )


def _best(summaries: Sequence[SystemSummary], metric: str) -> float | None:
    """None where nothing is to be compared, or all are equal."""
    values = {value for one in summaries if (value := one.metric(metric).value) is not None}
    upwards = metric_column(metric).higher_is_better
    return None if len(values) < 2 else max(values) if upwards else min(values)


def _value_cell(summary: SystemSummary, metric: str, best: float | None, found: Sequence[Reference]) -> ValueCell:
    mean, column = summary.metric(metric), metric_column(metric)
    reason = "; ".join(mean.reasons)
    pairs = tuple(one.of.get(summary.system, {}).get(metric) for one in found)
    cells = tuple(None if pair is None else _difference_cell(pair) for pair in pairs)
    if mean.value is None:
        return ValueCell(heading(metric), "absent" if reason else "", reason=reason, differences=cells)
    partial = f" (n={mean.n})" if mean.n < summary.num_images else ""
    text = f"{signed(mean.value, column.digits)}{partial}"
    return ValueCell(heading(metric), text, mean.value == best, reason, cells)


def _difference_cell(pair: Difference) -> DifferenceCell:
    digits = metric_column(pair.metric).digits
    # as many as tell the interval from zero
    if pair.verdict != "level" and min(abs(pair.low), abs(pair.high)) < 0.5 * 10**-digits:
        digits += 1
    low, high = signed(pair.low, digits, plus=True), signed(pair.high, digits, plus=True)
    n = "" if pair.n == pair.total else f"n = {pair.n} of {pair.total}"
    verdict = pair.verdict
    # as coders of one model, which decode to the same pixels
    same = pair.low == pair.high == 0
    mark, words = ("=", "equal") if same else (MARKS[verdict], WORDS[verdict])
    return DifferenceCell(verdict, mark, words, signed(pair.mean, digits, plus=True), f"[{low}, {high}]", n)


def _score(reference: Reference) -> Score:
    verdicts = [one.verdict for of_system in reference.of.values() for one in of_system.values() if _directed(one)]
    return Score(reference.label, *(verdicts.count(verdict) for verdict in ("better", "worse", "level")))


def _directed(one: Difference) -> bool:
    return metric_column(one.metric).higher_is_better is not None


def signed(value: float, digits: int, *, plus: bool = False) -> str:
    """With a true minus sign, and none before zero."""
    text = f"{value:{'+' if plus else ''}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)
