"""The points of a sweep as lines over parallel axes: what was swept, then what was measured."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence

from matplotlib import colormaps
from matplotlib.figure import Figure

from hific.cli.run_folder import Run
from hific.cli.sweep import swept

_MOST_METRICS = 6


def draw(runs: Mapping[str, Run], best: Collection[str]) -> bytes:
    """PNG. The line's color is its place on the last axis; those of `best` are thick; points without metrics are left
    out."""
    done = {name: run for name, run in runs.items() if run.metrics}
    options = swept(done)
    axes: dict[str, list[str | float]] = {}
    for name in next(iter(options.values())):
        axes[name] = _values([options[point][name] for point in done])
    for name in _metrics(list(done.values())):
        axes[name] = [run.metrics[name] for run in done.values()]
    figure = Figure(figsize=(max(4.0, 1.7 * len(axes)), 4.2), layout="constrained")
    drawing = figure.subplots()
    heights = {name: _heights(values) for name, values in axes.items()}
    last = list(heights.values())[-1]
    for place, point in enumerate(done):
        line = [values[place] for values in heights.values()]
        width = 3.2 if point in best else 1.6
        color = colormaps["viridis"](0.9 * last[place])
        drawing.plot(range(len(axes)), line, color=color, linewidth=width, alpha=0.85)
    for place, (name, values) in enumerate(axes.items()):
        drawing.axvline(place, color="0.75", linewidth=0.8, zorder=0)
        for height, text in dict(zip(heights[name], map(_text, values), strict=True)).items():
            if isinstance(values[0], str) or height in (min(heights[name]), max(heights[name])):
                drawing.annotate(text, (place, height), xytext=(3, 2), textcoords="offset points", fontsize=8)
    drawing.set_xticks(range(len(axes)), [name.replace("/", "/\n") for name in axes], fontsize=8)
    drawing.set_yticks([])
    drawing.set_xlim(-0.2, len(axes) - 0.4)
    for side in ("left", "right", "top", "bottom"):
        drawing.spines[side].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _metrics(runs: Sequence[Run]) -> list[str]:
    """What every point has, of the test images first; of training, where there is nothing else."""
    shared = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    shared = [name for name in shared if name.startswith(("val/", "test/"))] or shared
    ordered = sorted(shared, key=lambda name: (not name.startswith("test/"), not name.startswith("val/")))
    return ordered[:_MOST_METRICS]


def _values(texts: Sequence[str]) -> list[str | float]:
    """Numbers, where all are some."""
    try:
        return [float(one) for one in texts]
    except ValueError:
        return list(texts)


def _heights(values: Sequence[str | float]) -> list[float]:
    """In 0..1; the middle where all are equal."""
    if isinstance(values[0], str):
        kinds = list(dict.fromkeys(values))
        numbers = [float(kinds.index(one)) for one in values]
    else:
        numbers = [float(one) for one in values]
    low, high = min(numbers), max(numbers)
    return [(one - low) / (high - low) if high > low else 0.5 for one in numbers]


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
