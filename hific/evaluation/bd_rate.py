"""Curves compared over their common range: how many more bytes a system takes for the same metric (Bjontegaard 2001).

    metric ↑        anchor  o───o───o───o
           common range │ ←── percent ──→ │
                         x───x───x───x  system        BD-rate: mean of log rate between the curves, as a percentage

A point is a system at a rate, its means over the images; what differs in rate alone is a curve. Interpolation is
piecewise cubic (PCHIP), as in the common test conditions of JVET, by the package `bjontegaard`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import bjontegaard
import numpy as np
from numpy.typing import NDArray

from hific.evaluation.columns import metric_column
from hific.evaluation.means import SystemSummary, series_of, summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.tables import Table
from hific.metrics.image_metric import Absent

METRICS = ("psnr", "ms_ssim", "lpips_alex")
ANCHORS = ("vvc", "hevc", "avif", "webp", "jpeg2000", "jpeg")
"""The first of them that has a curve is what others are compared to: from the strongest."""
FEWEST_RATES = 4
SMALL_OVERLAP = 0.75
"""Below, a table says which share of the curves' range is common."""


@dataclass(frozen=True)
class BDRate:
    """percent: of the rate that `system` takes more than the anchor for equal `metric`; below 0 it takes less.
    overlap: the share that both curves have of the range that either has; 0 where there is no percentage."""

    system: str
    metric: str
    percent: float | Absent
    overlap: float = 0.0


@dataclass(frozen=True)
class _Curve:
    """rates: bpp, rising; values: of the metric, so that more is better."""

    rates: NDArray[np.float64]
    values: NDArray[np.float64]


def bd_rates(rows: Sequence[Measurement], anchor: str, metrics: Sequence[str] = METRICS) -> list[BDRate]:
    """Of every series of systems but `anchor`, in the order of their first rows. ValueError where that has no rows."""
    series: dict[str, list[SystemSummary]] = {}
    for summary in summarize(rows):
        if summary.rows:
            series.setdefault(series_of(summary), []).append(summary)
    if anchor not in series:
        raise ValueError(f"no measurements of the anchor {anchor!r}: there are {', '.join(series)}")
    images = {row.image for row in series[anchor][0].rows}
    found = []
    for metric in metrics:
        reference = _curve(series[anchor], metric, images)
        for name in series:
            if name != anchor:
                found.append(_compared(name, metric, reference, _curve(series[name], metric, images)))
    return sorted(found, key=lambda one: list(series).index(one.system))


def _compared(name: str, metric: str, anchor: _Curve | Absent, own: _Curve | Absent) -> BDRate:
    if isinstance(anchor, Absent):
        return BDRate(name, metric, Absent(f"the anchor has {anchor.reason}"))
    if isinstance(own, Absent):
        return BDRate(name, metric, own)
    lows, highs = zip(*((curve.values[0], curve.values[-1]) for curve in (anchor, own)), strict=True)
    overlap = float((min(highs) - max(lows)) / (max(highs) - min(lows)))
    if overlap <= 0:
        return BDRate(name, metric, Absent("no common range"))
    percent = bjontegaard.bd_rate(
        anchor.rates,
        anchor.values,
        own.rates,
        own.values,
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    return BDRate(name, metric, float(percent), overlap)


def _curve(systems: Sequence[SystemSummary], metric: str, images: set[str]) -> _Curve | Absent:
    """Absent with what it has instead of a curve."""
    points = []
    for one in systems:
        mean = one.metric(metric)
        if mean.value is not None:
            if mean.n < one.num_images or {row.image for row in one.rows} != images:
                return Absent("values on a part of the images")
            points.append((one.mean(lambda row: row.bpp), _upwards(metric, mean.value)))
    points = sorted(set(points))
    if len(points) < FEWEST_RATES:
        return Absent(f"{len(points)} rates, fewer than {FEWEST_RATES}")
    rates, values = np.array(points, np.float64).T
    if not np.isfinite(values).all():
        return Absent("infinite values")
    if not ((np.diff(rates) > 0) & (np.diff(values) > 0)).all():
        return Absent("a metric that does not rise with the rate")
    return _Curve(rates, values)


def _upwards(metric: str, value: float) -> float:
    """MS-SSIM in dB: near 1 its differences mean the more the smaller they are."""
    if metric == "ms_ssim":
        return -10 * math.log10(1 - value) if value < 1 else math.inf
    return -value if metric_column(metric).higher_is_better is False else value


def bd_rate_table(rows: Sequence[Measurement], metrics: Sequence[str] = METRICS) -> Table | None:
    """A line a series against the strongest classical codec that can be compared; None where nothing can."""
    series = {series_of(one) for one in summarize(rows) if one.rows}
    for anchor in ANCHORS:
        if anchor in series:
            rates = bd_rates(rows, anchor, metrics)
            if any(isinstance(one.percent, float) for one in rates):
                return _table(anchor, rates, metrics)
    return None


def _table(anchor: str, rates: Sequence[BDRate], metrics: Sequence[str]) -> Table:
    reasons = list(dict.fromkeys(one.percent.reason for one in rates if isinstance(one.percent, Absent)))
    cells = {(one.system, one.metric): _cell(one, reasons) for one in rates}
    systems = dict.fromkeys(one.system for one in rates)
    body = tuple((system, *(cells[system, metric] for metric in metrics)) for system in systems)
    note = (
        f"Percent of rate more than {anchor} for equal metric, over the common range of both curves of means (PCHIP; "
        "MS-SSIM in dB); below 0 is better."
    )
    header = ("system", *(f"BD-rate, {metric_column(metric).title.removesuffix(', dB')}" for metric in metrics))
    footnotes = (f"[{number}] absent: {reason}" for number, reason in enumerate(reasons, 1))
    return Table(header, body, (note, *footnotes))


def _cell(rate: BDRate, reasons: Sequence[str]) -> str:
    if isinstance(rate.percent, Absent):
        return f"absent [{reasons.index(rate.percent.reason) + 1}]"
    common = f" ({100 * rate.overlap:.0f} % in common)" if rate.overlap < SMALL_OVERLAP else ""
    return f"{rate.percent:+.1f} %{common}"
