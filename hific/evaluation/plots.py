"""Figures of rows; owns matplotlib. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hific.evaluation.columns import metric_column
from hific.evaluation.means import SystemSummary, series_of, summarize
from hific.evaluation.measurement import Measurement
from hific.io.write_whole import write_whole

COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#444444", "#ee8866", "#44bb99", "#bbbbbb")
"""Paul Tol's bright scheme, told apart by color-blind readers too."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDE_RANGE = 20
"""Rates that differ more than so are drawn on a logarithmic axis."""


def rate_metric_curves(rows: Sequence[Measurement], metrics: Sequence[str]) -> Figure:
    """An axis a metric: mean bpp to the right, mean metric upwards. What differs in rate alone is joined by a line."""
    summaries = [one for one in summarize(rows) if one.rows]
    rates = [_mean_bpp(one) for one in summaries]
    figure = Figure(figsize=(4.2 * len(metrics), 4.2), layout="constrained")
    for axis, name in zip(plain_axes(figure, len(metrics)), metrics, strict=True):
        for number, series in enumerate(dict.fromkeys(map(series_of, summaries))):
            points = _points([one for one in summaries if series_of(one) == series], name)
            marker = MARKERS[number // len(COLORS) % len(MARKERS)]
            x, y = [point[0] for point in points], [point[1] for point in points]
            axis.plot(x, y, marker=marker, color=color_of(number), label=series)
        axis.set(xlabel="bpp", ylabel=metric_column(name).heading)
        if rates and max(rates) > WIDE_RANGE * min(rates):
            axis.set_xscale("log")  # transmitted switches cost hundreds of times the latent
    _legend_below(figure, figure.axes[0])
    return figure


def metric_bars(rows: Sequence[Measurement], metrics: Sequence[str]) -> Figure:
    """An axis a metric: a bar a system, its mean over the images, pale where a note says it is not comparable."""
    summaries = [one for one in summarize(rows) if one.rows]
    codecs = list(dict.fromkeys(one.rows[0].codec for one in summaries))
    figure = Figure(figsize=(4.4 * len(metrics), 0.34 * len(summaries) + 1.3), layout="constrained")
    for axis, name in zip(plain_axes(figure, len(metrics), sharey=True), metrics, strict=True):
        for place, one in enumerate(summaries):
            value = one.metric(name).value
            color = color_of(codecs.index(one.rows[0].codec))
            axis.barh(place, value or 0.0, color=color, alpha=0.4 if one.notes else 1.0)
            digits = metric_column(name).digits
            axis.annotate(
                "absent" if value is None else f"{value:.{digits}f}",
                (value or 0.0, place),
                (4, 0),
                textcoords="offset points",
                va="center",
            )
        axis.margins(x=0.18)
        axis.set(xlabel=metric_column(name).heading)
        axis.set_yticks(range(len(summaries)), [f"{one.system}  {_mean_bpp(one):.4f} bpp" for one in summaries])
    figure.axes[0].invert_yaxis()
    return figure


def metric_by_epoch(
    series: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], metrics: Sequence[str]
) -> Figure:
    """An axis a metric that any system has points (epochs, value) of: epochs to the right, a line for each of them."""
    metrics = [name for name in metrics if any(one.get(name) for one in series.values())] or list(metrics)
    figure = Figure(figsize=(5.2 * len(metrics), 4.2), layout="constrained")
    for axis, name in zip(plain_axes(figure, len(metrics)), metrics, strict=True):
        for number, (system, of_metric) in enumerate(series.items()):
            points = of_metric.get(name, ())
            x, y = [point[0] for point in points], [point[1] for point in points]
            axis.plot(x, y, marker=MARKERS[number % len(MARKERS)], color=color_of(number), label=system)
        axis.set(xlabel="epochs", ylabel=metric_column(name).heading)
    _legend_below(figure, figure.axes[0])
    return figure


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """As .png and .svg, each whole or not at all; the same figure gives the same SVG."""
    written = (path.with_suffix(".png"), path.with_suffix(".svg"))
    for target in written:
        buffer = BytesIO()
        with rc_context({"svg.hashsalt": "hific"}):
            metadata = {"Date": None} if target.suffix == ".svg" else None
            figure.savefig(buffer, format=target.suffix[1:], dpi=150, metadata=metadata)
        write_whole(target, buffer.getvalue())
    return written


def plain_axes(figure: Figure, count: int, *, sharey: bool = False) -> list[Axes]:
    """In a row, with a pale grid and without a frame."""
    axes: list[Axes] = list(figure.subplots(1, count, squeeze=False, sharey=sharey)[0])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    return axes


def _points(summaries: Sequence[SystemSummary], metric: str) -> list[tuple[float, float]]:
    found = [(_mean_bpp(one), one.metric(metric).value) for one in summaries]
    return sorted((x, y) for x, y in found if y is not None)


def _mean_bpp(summary: SystemSummary) -> float:
    return summary.mean(lambda row: row.bpp) or 0.0


def _legend_below(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    # Inches of a line and of letters of 10 points: more in a row would leave the figure.
    fitting = max(1, int(figure.get_figwidth() / (0.7 + 0.085 * max(map(len, labels), default=1))))
    columns = min(5, fitting, max(1, len(labels)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def color_of(number: int) -> str:
    return COLORS[number % len(COLORS)]
