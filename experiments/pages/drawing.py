"""Tables of pages as tables.yaml declares them: of rows here, of lines of CSV files in csv_tables.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from experiments.pages.csv_tables import csv_table, less_rival_table, lines_of
from experiments.pages.evidence import (
    EXPERIMENTS,
    Comparison,
    Finding,
    column_of,
    compare,
    earlier_models,
    images_of,
    mean_of,
    rows_of,
    title_of,
)
from experiments.pages.numbers import number
from experiments.study import check_keys
from hific.errors import OptionError
from hific.evaluation.tables import Table

# Of pages, where the metric's own digits are more or fewer than its differences need.
DIGITS = {"perceptual_loss": 2, "bpp": 4}
UNCOMMITTED = "+changes"


@dataclass(frozen=True)
class TableSpec:
    """lines: {label, ...}, what else depends on the kind. rows, rival, rival_rows: of all lines that have none of
    their own; {system} in a rival stands for the line's. recorded: a CSV file with what is in no row."""

    kind: str
    lines: Sequence[Mapping[str, Any]]
    columns: Sequence[str] = ()
    heading: str = "system"
    rows: str = ""
    rival: str = ""
    rival_rows: Sequence[str] = ()
    at_equal_bytes: bool = False
    recorded: str = ""
    rivals: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def of(self, line: Mapping[str, Any], key: str) -> Any:
        return line.get(key, getattr(self, key))


def draw(declared: Mapping[str, Any], page: Path, where: str) -> str:
    """Markdown, with what it was drawn from below. OptionError, which `where` begins, for what is not declared well."""
    check_keys(declared, [one.name for one in fields(TableSpec)], where)
    spec = TableSpec(**declared)
    if spec.kind not in KINDS:
        raise OptionError(f"{where}: kind={spec.kind} is none of {', '.join(KINDS)}")
    header, body = KINDS[spec.kind](spec)
    below = " ".join(part.strip() for part in (_source(spec, page), spec.note) if part)
    return f"\n{Table(header, tuple(body)).to_markdown()}\n{below}\n\n"


Drawn = tuple[tuple[str, ...], list[tuple[str, ...]]]


def means_table(spec: TableSpec) -> Drawn:
    """A line: {label, system}. columns: metrics and costs."""
    arrows = {True: " ↑", False: " ↓", None: ""}
    titles = [title_of(one) + arrows[column_of(one).higher_is_better] for one in spec.columns]
    return (spec.heading, *titles), [(line["label"], *_means(spec, line, spec.columns)) for line in spec.lines]


def differences_table(spec: TableSpec) -> Drawn:
    """A line: {label, system}. columns: bytes and bpp as means, of metrics the paired differences to `rival`."""
    body = []
    for line in spec.lines:
        cells = []
        for metric in spec.columns:
            if metric in ("bytes", "bpp"):
                cells += _means(spec, line, [metric])
                continue
            rival = spec.of(line, "rival").format(system=line["system"])
            rows, rival_rows = spec.of(line, "rows"), tuple(spec.of(line, "rival_rows"))
            asked = Comparison(rows, line["system"], rival, metric, spec.at_equal_bytes, rival_rows=rival_rows)
            cells.append(interval(compare(asked), digits_of(metric)))
        body.append((line["label"], *cells))
    return (spec.heading, *map(title_of, spec.columns)), body


def changes_table(spec: TableSpec) -> Drawn:
    """A line: {label, system}: bytes, their change against `rival` in percent, means of columns, and what `recorded`
    has of fitting for the system."""
    recorded = {line["variant"]: line for line in lines_of(spec.recorded)} if spec.recorded else {}
    fitting = [name for line in recorded.values() for name in line if name.startswith(("fit", "predictor"))]
    fitting = list(dict.fromkeys(fitting))
    body = []
    for line in spec.lines:
        system, rival, rows = line["system"], spec.of(line, "rival"), spec.of(line, "rows")
        changed = interval(compare(Comparison(rows, system, rival, "bytes", relative=True)), 2)
        of_system = [recorded[system.partition(",")[0]][name] for name in fitting]
        costs = _means(spec, line, ["bytes", "bpp"])
        cells = (*costs, changed if system != rival else "", *_means(spec, line, spec.columns), *of_system)
        body.append((line["label"], *cells))
    return (spec.heading, "bytes", "bpp", "change of bytes, %", *map(title_of, spec.columns), *fitting), body


KINDS: dict[str, Callable[[TableSpec], Drawn]] = {
    "means": means_table,
    "differences": differences_table,
    "changes": changes_table,
    "csv": lambda spec: csv_table(spec.heading, spec.lines, spec.columns),
    "less_rival": lambda spec: less_rival_table(spec.heading, spec.lines, spec.columns, spec.rivals),
}


def digits_of(metric: str) -> int:
    return DIGITS.get(metric, column_of(metric).digits)


def interval(one: Finding, digits: int) -> str:
    """`mean [low, high]`; the mean bold where it is better, a cross where it is worse."""
    mean, low, high = (number(value, digits, signed=True) for value in (one.mean, one.low, one.high))
    shown = {"better": f"**{mean}** [{low}, {high}]", "worse": f"{mean} [{low}, {high}] ✗"}
    return shown.get(one.verdict, f"{mean} [{low}, {high}]")


def _means(spec: TableSpec, line: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    rows = spec.of(line, "rows")
    of_system = images_of(rows_of(rows), line["system"], rows)
    values = [(mean_of(of_system, metric), digits_of(metric)) for metric in metrics]
    return ["" if value is None else number(value, digits) for value, digits in values]


def _source(spec: TableSpec, page: Path) -> str:
    """The files, how many images, of which code."""
    if spec.kind in ("csv", "less_rival"):
        names = dict.fromkeys(line["file"] for line in spec.lines)
        return f"Lines of {', '.join(f'[{Path(name).name}]({_link(name, page)})' for name in names)}."
    return f"Rows: {'; '.join(_rows_told(spec, page))}."


def _rows_told(spec: TableSpec, page: Path) -> Iterator[str]:
    names = [(spec.of(line, "rows"), *spec.of(line, "rival_rows")) for line in spec.lines]
    for name in dict.fromkeys(name for of_line in names for name in of_line):
        rows = [row for row in rows_of(name) if not row.is_set]
        commits = dict.fromkeys(row.provenance.commit for row in rows)
        code = " and ".join(one.replace(UNCOMMITTED, " with changes that were never committed") for one in commits)
        images, earlier = len({row.image for row in rows}), " and ".join(f"`{one}`" for one in earlier_models(rows))
        told = f", {earlier} with earlier weights than today's" if earlier else ""
        yield f"[{name.removesuffix('/results')}]({_link(name, page)}), {images} images, code {code}{told}"


def _link(name: str, page: Path) -> str:
    path = EXPERIMENTS / name
    return Path(os.path.relpath(path / "measurements.parquet" if path.is_dir() else path, page.parent)).as_posix()
