"""Tables of rows: Markdown, LaTeX, CSV, and what the console shows. Drawn from rows alone."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hific.evaluation.columns import KEY_METRICS, absent_key_metrics, measured_key_metrics, metric_column
from hific.evaluation.means import Mean, SystemSummary, summarize
from hific.evaluation.measurement import Measurement

_NUMBER = re.compile(r"-?(\.?\d|inf|absent)")
_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
}


@dataclass(frozen=True)
class Table:
    """`body` rows are as long as `header`; columns of numbers are aligned to the right; `notes` go below."""

    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        rule = tuple("---:" if right else "---" for right in self._right_aligned())
        lines = [
            "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
            for row in (self.header, rule, *self.body)
        ]
        return "\n".join(lines + [""] + [f"{note}  " for note in self.notes]).rstrip() + "\n"

    def to_latex(self) -> str:
        lines = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in (self.header, *self.body)]
        columns = "".join("r" if right else "l" for right in self._right_aligned())
        top = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
        below = [rf"\par\smallskip\footnotesize {_latex(note)}" for note in self.notes]
        return "\n".join([*top, *lines[1:], r"\bottomrule", r"\end{tabular}", *below]) + "\n"

    def to_csv(self) -> str:
        """Without the notes."""
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows((self.header, *self.body))
        return text.getvalue()

    def _right_aligned(self) -> list[bool]:
        """Of each column whether it holds numbers (some may be absent)."""
        columns = [[row[place] for row in self.body] for place in range(len(self.header))]
        return [all(not cell or _NUMBER.match(cell) for cell in cells) for cells in columns]


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def mean_table(rows: Sequence[Measurement], metrics: Sequence[str] = KEY_METRICS) -> Table:
    """A line a system: bytes, bpp and metrics as means over its images; absent metrics with a footnote saying why."""
    summaries = summarize(rows)
    reasons = _Reasons()
    header = ("system", "images", "bytes", "bpp", "downscaling", *(metric_column(name).heading for name in metrics))
    total = max((one.num_images for one in summaries), default=0)
    body = tuple(
        (*_rate_cells(one), *(_cell(one, name, reasons) for name in metrics), _notes(one, total)) for one in summaries
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


SEARCHED_SECONDS = (
    "Encode seconds of classical codecs are of the file itself, without the search for its setting, while other "
    "searches ran. Seconds are of when a file was made, which was in an earlier evaluation where the cache had it."
)


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
    searched = any(row.max_bytes is not None for row in rows)
    return Table(("system", "encode, s", "decode, s"), body, (SEARCHED_SECONDS,) if searched else ())


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


def _notes(summary: SystemSummary, total: int) -> str:
    """total: images of the system that has the most."""
    missing = total - summary.num_images
    absent = [f"absent on {missing} of {total} images, which its means leave out"] if missing else []
    return "; ".join([*summary.notes, *absent])


def number_cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


LEFT_OUT = ("images", "downscaling", "note")
NARROWEST = 100
"""Columns where the output is no terminal, whose width rich would take to be 80."""


def print_means(rows: Sequence[Measurement], console: Console | None = None) -> None:
    """To stdout: a line a system, then its notes."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    table = main_table(rows)
    places = [place for place, name in enumerate(table.header) if name not in LEFT_OUT]
    shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for place in places:
        heading = Text(table.header[place].replace("-", "-\n").replace(", ", ",\n"))
        # only the names may be broken where the terminal is narrow
        shown.add_column(heading, justify="left" if place == 0 else "right", no_wrap=place > 0, overflow="fold")
    for row in table.body:
        shown.add_row(*(Text(row[place]) for place in places))
    console.print(shown)
    notes = [f"{row[0]}: {row[-1]}" for row in table.body if table.header[-1] == "note" and row[-1]]
    for note in (*notes, *table.notes):
        console.print(Text(note))
