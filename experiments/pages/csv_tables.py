"""Tables of lines of CSV files, which are written by trainings rather than by evaluate.py.

A line: {label, file, where: {COLUMN: VALUE}}, which one line of the file has; a text is how its cell begins. columns:
"psnr:2" is two digits; "perceptual_loss|conv4:2" is the first of the two that the file has.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from experiments.pages.evidence import EXPERIMENTS, title_of
from experiments.pages.numbers import number
from hific.errors import OptionError

TITLES = {name: name for name in ("bpp", "before", "difference")}
TITLES |= {"cpu_seconds": "CPU seconds", "low": "from", "high": "to"}
Line = Mapping[str, str]
Drawn = tuple[tuple[str, ...], list[tuple[str, ...]]]


def csv_table(heading: str, lines: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Drawn:
    body = []
    for line in lines:
        found = find_line(line["file"], line["where"])
        body.append((line["label"], *(_cell(found, column) for column in columns)))
    return _header(heading, columns), body


def less_rival_table(
    heading: str, lines: Sequence[Mapping[str, Any]], columns: Sequence[str], rivals: Mapping[str, str]
) -> Drawn:
    """Each line less a curve at the same bpp, linear in its logarithm: of the lines of rivals[file] whose `what` begins
    with rivals[begins] and has rivals[has]. share, of a line: of its bpp that is left."""
    curve = [
        line
        for line in lines_of(rivals["file"])
        if line["what"].startswith(rivals["begins"]) and rivals["has"] in line["what"]
    ]
    body = []
    for line in lines:
        found = find_line(line["file"], line["where"])
        bpp = float(found["bpp"]) * line.get("share", 1.0)
        cells = []
        for column in columns:
            names, digits = _split(column)
            value = float(_first(found, names)) - _at(bpp, curve, names)
            cells.append(number(value, digits, signed=True))
        body.append((line["label"], number(bpp, 3), *cells))
    return _header(heading, ["bpp:3", *columns]), body


def find_line(name: str, where: Mapping[str, Any]) -> Line:
    """OptionError where none or several lines of the file, below experiments/, have these values."""
    found = [line for line in lines_of(name) if all(_has(line[key], value) for key, value in where.items())]
    if len(found) != 1:
        raise OptionError(f"{name}: {len(found)} lines have {dict(where)}")
    return found[0]


def lines_of(name: str) -> list[dict[str, str]]:
    """OptionError where there is no such file below experiments/."""
    try:
        with (EXPERIMENTS / name).open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise OptionError(f"{EXPERIMENTS / name} is missing, which a table of pages/tables.yaml is made of") from error


def _has(cell: str, value: Any) -> bool:
    """A string stands for what begins with it, {is: string} for itself."""
    if isinstance(value, Mapping):
        return cell == str(value["is"])
    if isinstance(value, str):
        return cell.startswith(value)
    return bool(cell) and float(cell) == float(value)


def _header(heading: str, columns: Sequence[str]) -> tuple[str, ...]:
    names = [_split(column)[0][0] for column in columns]
    return (heading, *(TITLES.get(name) or title_of(name) for name in names))


def _cell(line: Line, column: str) -> str:
    names, digits = _split(column)
    text = _first(line, names)
    return number(float(text), digits, signed=text.startswith("+")) if text else ""


def _split(column: str) -> tuple[list[str], int]:
    names, _, digits = column.partition(":")
    return names.split("|"), int(digits or 0)


def _first(line: Line, names: Sequence[str]) -> str:
    return next((line[name] for name in names if line.get(name)), "")


def _at(bpp: float, curve: Sequence[Line], names: Sequence[str]) -> float:
    points = sorted((math.log(float(line["bpp"])), float(_first(line, names))) for line in curve)
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= math.log(bpp) <= x1:
            return y0 + (math.log(bpp) - x0) / (x1 - x0) * (y1 - y0)
    raise OptionError(f"no two of {len(points)} rivals are around {bpp:.3f} bpp")
