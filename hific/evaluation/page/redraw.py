"""report.html of a folder: written when it is measured, and again from what was kept there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from hific.errors import OptionError
from hific.evaluation.folder import ROWS, EvaluationFolder, read_evaluation_rows, read_rows
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.assets import legible
from hific.evaluation.page.document import render_page
from hific.evaluation.page.pictures import embed_pictures
from hific.evaluation.report import ReportContext
from hific.evaluation.tables import Table
from hific.io.write_whole import write_whole

PAGE, CONTEXT = "report.html", "report.json"


def write_page(rows: Sequence[Measurement], context: ReportContext, root: Path) -> list[Path]:
    """The page, and report.json with what the rows do not say, of which it can be drawn again."""
    write_whole(root / CONTEXT, legible(json.dumps(asdict(context), indent=1, ensure_ascii=False, default=str)) + "\n")
    write_whole(root / PAGE, _drawn(rows, context, root))
    return [root / PAGE, root / CONTEXT]


def redraw_page(source: Path, output: Path | None = None, **changes: Any) -> Path:
    """`source` as `read_evaluation` takes it. `changes`: of the ReportContext."""
    rows, context, root = read_evaluation(source)
    context = replace(context, **changes)
    target = output or root / PAGE
    write_whole(target, _drawn(rows, context, root))
    return target


def read_evaluation(source: Path) -> tuple[list[Measurement], ReportContext, Path]:
    """Rows, what they do not say, and the folder in which pictures may be; of a folder or of its file of rows.
    OptionError where there are no rows."""
    rows, file = read_evaluation_rows(source)
    return rows, read_context(file.with_name(CONTEXT)), file.parent


def add_to_page(root: Path, *, question: str, tables: Mapping[str, Table]) -> Path:
    """What a study asks, and its tables, into the page that its evaluation left in a folder."""
    context = replace(read_context(root / CONTEXT), question=question, tables=tables)
    return write_page(read_rows(root / ROWS), context, root)[0]


def read_context(path: Path) -> ReportContext:
    """Of report.json; of nothing where it is missing. OptionError on another file."""
    if not path.is_file():
        return ReportContext("Measurements")
    try:
        given: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        tables = {name: _table(one) for name, one in given.pop("tables", {}).items()}
        return ReportContext(**given, tables=tables)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OptionError(f"{path} is not what evaluate.py writes ({error})") from error


def _drawn(rows: Sequence[Measurement], context: ReportContext, root: Path) -> str:
    return render_page(rows, context, partial(embed_pictures, rows, EvaluationFolder(root)))


def _table(given: Mapping[str, Any]) -> Table:
    return Table(tuple(given["header"]), tuple(map(tuple, given["body"])), tuple(given["notes"]))
