"""Rate-distortion curves as SVG. Each is drawn for a wide and a narrow window, so that text keeps its size, and each of
these once around the means and once around all images, whose points report.js adds when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hific.evaluation.columns import metric_column
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.series import Series
from hific.evaluation.page.tables import signed
from hific.evaluation.plots import WIDE_RANGE

COLORS = 10
"""Classes series-0 to series-9 of report.css; further series begin again with another marker."""
_MARKERS = (
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "M-4.6,-4.6h9.2v9.2h-9.2z",
    "M0,-6L5.6,4.4H-5.6z",
    "M0,-6.4L6.4,0L0,6.4L-6.4,0z",
    "M0,6L5.6,-4.4H-5.6z",
    "M-1.9,-5.6h3.8v3.7h3.7v3.8h-3.7v3.7h-3.8v-3.7h-3.7v-3.8h3.7z",
)
_TOP, _RIGHT, _BOTTOM = 30, 14, 44


@dataclass(frozen=True)
class Point:
    """`label`: what a tooltip says of it."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Scale:
    """From values to places along an axis."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._shown(self.low), self._shown(self.high)
        return self.begin + (self._shown(value) - low) / (high - low) * (self.end - self.begin)

    def _shown(self, value: float) -> float:
        return math.log10(value) if self.is_log else value


@dataclass(frozen=True)
class Frame:
    """`kind`: means or images, the name of the range that the axes have."""

    width: int
    height: int
    left: int
    kind: str


WIDE, NARROW = (960, 430, 62), (360, 330, 46)


def marker(number: int) -> Markup:
    """The outline of a series' marker around (0, 0)."""
    return Markup(_MARKERS[(number + number // COLORS) % len(_MARKERS)])


def curves(series: Sequence[Series], rows: Sequence[Measurement], metric: str) -> Markup:
    """Four drawings, of which report.css and report.js show one."""
    lines = [(one, _points(one, metric)) for one in series]
    drawn = [(one, points) for one, points in lines if points]
    means = [(point.x, point.y) for _, points in drawn for point in points]
    values = [(row.bpp, row.metrics[metric]) for row in rows if not row.is_set and metric in row.metrics]
    images = [(bpp, value) for bpp, value in values if math.isfinite(value)]
    if not means:
        return Markup("")
    parts = [
        _draw(drawn, span, metric, Frame(*size, kind))
        for kind, span in (("means", means), ("images", [*means, *images]))
        for size in (WIDE, NARROW)
    ]
    return Markup("").join(parts)


def _draw(
    drawn: Sequence[tuple[Series, list[Point]]], span: Sequence[tuple[float, float]], metric: str, frame: Frame
) -> Markup:
    xs, ys = [x for x, _ in span], [y for _, y in span]
    is_log = min(xs) > 0 and max(xs) > WIDE_RANGE * min(xs)
    right, bottom = frame.width - _RIGHT, frame.height - _BOTTOM
    x = Scale(*_padded(xs, is_log=is_log), frame.left, right, is_log)
    y = Scale(*_padded(ys), bottom, _TOP)
    column = metric_column(metric)
    size = "wide" if frame.width == WIDE[0] else "narrow"
    lines = Markup("").join(_line(one, points, x, y) for one, points in drawn)
    return Markup(
        '<svg class="curve {size} of-{kind}" viewBox="0 0 {width} {height}" role="group" tabindex="0" '
        'aria-label="{title} against bpp: arrow keys go from point to point" data-left="{left}" data-right="{right}" '
        'data-top="{top}" data-bottom="{bottom}" data-x0="{x0}" data-x1="{x1}" data-y0="{y0}" data-y1="{y1}" '
        'data-log="{log}">{axes}<g class="images"></g>{lines}</svg>'
    ).format(
        size=size,
        kind=frame.kind,
        width=frame.width,
        height=frame.height,
        title=column.title,
        left=frame.left,
        right=right,
        top=_TOP,
        bottom=bottom,
        x0=repr(x.low),
        x1=repr(x.high),
        y0=repr(y.low),
        y1=repr(y.high),
        log=int(is_log),
        axes=_axes(x, y, column.heading),
        lines=lines,
    )


def _axes(x: Scale, y: Scale, heading: str) -> Markup:
    few = x.end - x.begin < 500
    parts = [
        Markup(
            '<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/><text class="tick" x="{0:.1f}" '
            'y="{3}" text-anchor="middle">{4}</text>'
        ).format(x(tick), y.end, y.begin, y.begin + 18, text)
        for tick, text in _ticks(x, 4 if few else 8)
    ] + [
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text class="tick" x="{3}" '
            'y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(x.begin, x.end, y(tick), x.begin - 7, y(tick) + 4, text)
        for tick, text in _ticks(y, 6)
    ]
    names = Markup(
        '<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/><text class="axis-name" x="{1}" y="{3}" '
        'text-anchor="end">bpp →</text><text class="axis-name" x="2" y="14">{4}</text>'
    ).format(x.begin, x.end, y.begin, y.begin + 37, heading)
    return Markup('<g class="axes">{}{}</g>').format(Markup("").join(parts), names)


def _line(series: Series, points: Sequence[Point], x: Scale, y: Scale) -> Markup:
    places = [(x(point.x), y(point.y)) for point in points]
    path = "M" + "L".join(f"{left:.1f},{top:.1f}" for left, top in places)
    line = Markup('<path class="line" d="{}"/>').format(path) if len(points) > 1 else Markup("")
    marks = Markup("").join(
        Markup('<path class="marker" role="img" aria-label="{}" transform="translate({:.1f},{:.1f})" d="{}"/>').format(
            point.label, left, top, marker(series.number)
        )
        for point, (left, top) in zip(points, places, strict=True)
    )
    return Markup('<g class="series series-{} {}" data-series="{}">{}{}</g>').format(
        series.number % COLORS, "learned" if series.is_learned else "classical", series.number, line, marks
    )


def _points(series: Series, metric: str) -> list[Point]:
    """By rising rate."""
    column, found = metric_column(metric), []
    for one in series.members:
        mean, bpp = one.metric(metric), one.mean(lambda row: row.bpp)
        # equal pictures have a PSNR that no axis has a place for
        if mean.value is not None and bpp is not None and math.isfinite(mean.value):
            text = f"{one.system}: {bpp:.4f} bpp, {column.title} {signed(mean.value, column.digits)}, n = {mean.n}"
            found.append(Point(bpp, mean.value, text))
    return sorted(found, key=lambda point: point.x)


def _padded(values: Sequence[float], *, is_log: bool = False) -> tuple[float, float]:
    """The range of an axis, a little wider than the values."""
    low, high = min(values), max(values)
    if is_log:
        return low / 1.15, high * 1.15
    margin = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _ticks(scale: Scale, count: int) -> Iterable[tuple[float, str]]:
    """At 1, 2 or 5 times a power of ten."""
    if scale.is_log:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        every = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        inside = [tick for tick in every if scale.low <= tick <= scale.high]
        return [(tick, f"{tick:g}") for tick in inside[:: math.ceil(len(inside) / count) or 1]]
    rough = (scale.high - scale.low) / count
    power = math.floor(math.log10(rough))
    step = next(factor * 10.0**power for factor in (1, 2, 5, 10) if factor * 10.0**power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    return [(number * step, signed(number * step + 0.0, digits)) for number in range(first, last + 1)]
