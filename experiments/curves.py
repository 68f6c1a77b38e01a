"""Metrics by epoch of several trainings (figures 6 and 7 of Dash et al.), from the curve.csv that each leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from hific.errors import OptionError
from hific.evaluation.columns import metric_column
from hific.evaluation.plots import metric_by_epoch
from hific.evaluation.tables import Table, number_cell
from hific.training.metric_curve import FILE, CurveRow, read_curve

Curves = Mapping[str, Sequence[CurveRow]]


def read_curves(checkpoints: Mapping[str, Path]) -> Curves:
    """By label, of those trainings that left any. OptionError where none did."""
    paths = {label: path.parent / FILE for label, path in checkpoints.items()}
    found = {label: read_curve(path) for label, path in paths.items() if path.is_file()}
    if not found:
        raise OptionError(f"no training has a {FILE}: validations make it (recipe.val_check_interval)")
    return found


def curve_table(curves: Curves, metrics: Sequence[str]) -> Table:
    """A line for each training and validation: batches, epochs, means over the photos. What is absent says why."""
    reasons: dict[str, int] = {}
    body = []
    for label, rows in curves.items():
        for batches in dict.fromkeys(row.batches for row in rows):
            at = [row for row in rows if row.batches == batches]
            cells = [_cell([row for row in at if row.metric == name], name, reasons) for name in metrics]
            body.append((label, str(batches), number_cell(at[0].epochs, 2), *cells))
    header = ("variant", "batches", "epochs", *(metric_column(name).heading for name in metrics))
    notes = tuple(f"[{number}] absent: {reason}" for reason, number in reasons.items())
    return Table(header, tuple(body), notes)


def curve_figure(curves: Curves, metrics: Sequence[str]) -> Figure:
    """The same as lines."""
    return metric_by_epoch({label: _points(rows, metrics) for label, rows in curves.items()}, metrics)


def _points(rows: Sequence[CurveRow], metrics: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in metrics}
    for epochs in dict.fromkeys(row.epochs for row in rows):
        for name in metrics:
            mean = _mean([row for row in rows if row.epochs == epochs and row.metric == name])
            if mean is not None:
                found[name].append((epochs, mean))
    return found


def _cell(rows: Sequence[CurveRow], name: str, reasons: dict[str, int]) -> str:
    mean = _mean(rows)
    if mean is not None:
        return number_cell(mean, metric_column(name).digits)
    reason = next((row.absent for row in rows if row.absent), "not measured")
    return f"absent [{reasons.setdefault(reason, len(reasons) + 1)}]"


def _mean(rows: Sequence[CurveRow]) -> float | None:
    values = [row.value for row in rows if row.value is not None]
    return sum(values) / len(values) if values else None
