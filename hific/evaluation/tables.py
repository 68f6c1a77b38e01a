"""The tables of a report, from rows. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hific.evaluation.columns import KEY_METRICS, absent_key_metrics, measured_key_metrics, metric_column
from hific.evaluation.means import Mean, SystemSummary, summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.text_table import Table


def mean_table(rows: Sequence[Measurement], metrics: Sequence[str] = KEY_METRICS) -> Table:
    """A line a system: bytes, bpp and metrics as means over its images; absent metrics with a footnote saying why."""
    summaries = summarize(rows)
    reasons = _Reasons()
    header = ("system", "images", "bytes", "bpp", "downscaling", *(metric_column(name).heading for name in metrics))
    body = tuple(
        (*_rate_cells(one), *(_cell(one, name, reasons) for name in metrics), _notes(one)) for one in summaries
    )
    if not any(row[-1] for row in body):
        return Table(header, tuple(row[:-1] for row in body), reasons.footnotes())
    return Table((*header, "note"), body, reasons.footnotes())


def main_table(rows: Sequence[Measurement]) -> Table:
    """The means of the key metrics that any row has; a note names those that none has."""
    table = mean_table(rows, measured_key_metrics(rows))
    absent = ", ".join(metric_column(name).title for name in absent_key_metrics(rows))
    note = f"Absent for every system, with the reasons under Further metrics of the report: {absent}."
    return replace(table, notes=(*table.notes, note)) if absent else table


def time_table(rows: Sequence[Measurement]) -> Table:
    """Mean seconds an image."""
    body = tuple(
        (
            one.system,
            number_cell(one.mean(lambda row: row.encode_seconds), 3),
            number_cell(one.mean(lambda row: row.decode_seconds), 3),
        )
        for one in summarize(rows)
    )
    return Table(("system", "encode, s", "decode, s"), body)


def image_table(rows: Sequence[Measurement], metrics: Sequence[str] = KEY_METRICS) -> Table:
    """A line for each image and system, the systems of an image together."""
    reasons = _Reasons()
    header = ("image", "system", "setting", "bytes", "bpp", *(metric_column(name).heading for name in metrics), "note")
    body = []
    for image in dict.fromkeys(row.image for row in rows if not row.is_set):
        for row in (row for row in rows if row.image == image):
            values = [_value_cell(row.metrics.get(name), row.absent.get(name), name, reasons) for name in metrics]
            body.append((image, row.system, row.setting, str(row.num_bytes), f"{row.bpp:.4f}", *values, row.note))
    return Table(header, tuple(body), reasons.footnotes())


class _Reasons:
    """Numbers the reasons in the order in which they come up."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def reference(self, reason: str) -> str:
        return f"[{self._numbers.setdefault(reason, len(self._numbers) + 1)}]"

    def footnotes(self) -> tuple[str, ...]:
        return tuple(f"[{number}] absent: {reason}" for reason, number in self._numbers.items())


def _rate_cells(summary: SystemSummary) -> tuple[str, ...]:
    num_bytes = number_cell(summary.mean(lambda row: row.num_bytes), 0)
    scale = number_cell(summary.mean(lambda row: row.scale), 2)
    return (
        summary.system,
        str(summary.num_images),
        num_bytes,
        number_cell(summary.mean(lambda row: row.bpp), 4),
        scale,
    )


def _cell(summary: SystemSummary, name: str, reasons: _Reasons) -> str:
    mean: Mean = summary.metric(name)
    reason = "; ".join(mean.reasons) if mean.reasons else None
    cell = _value_cell(mean.value, reason, name, reasons)
    partial = mean.value is not None and mean.n < summary.num_images
    return f"{cell} (n={mean.n}) {reasons.reference(reason) if reason else ''}".strip() if partial else cell


def _value_cell(value: float | None, reason: str | None, name: str, reasons: _Reasons) -> str:
    if value is not None:
        return number_cell(value, metric_column(name).digits)
    return f"absent {reasons.reference(reason)}" if reason else ""


def _notes(summary: SystemSummary) -> str:
    return "; ".join(summary.notes)


def number_cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
