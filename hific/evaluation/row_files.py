"""Measurements as Parquet and CSV, one flat column a quantity; owns pyarrow.

    system, codec, ..., bpp, ...  |  psnr, ssim, ...  |  absent_fid, ...  |  commit, device, ...

A metric's column is empty where it is absent, and `absent_<metric>` then says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from hific.evaluation.measurement import Measurement
from hific.evaluation.provenance import Provenance
from hific.io.write_whole import write_whole

ABSENT = "absent_"
_TYPES = {"str": pa.string(), "int": pa.int64(), "int | None": pa.int64(), "float | None": pa.float64()}
_PROVENANCE = {one.name: pa.string() for one in fields(Provenance)}
_OWN = {one.name: _TYPES[str(one.type)] for one in fields(Measurement) if str(one.type) in _TYPES}
_FIXED = {**_OWN, "bpp": pa.float64(), **_PROVENANCE}


def write_rows(rows: Sequence[Measurement], path: str | Path) -> tuple[Path, Path]:
    """Writes `path` with the suffixes .parquet and .csv, each whole or not at all; returns both paths."""
    table = to_table(rows)
    parquet, csv = Path(path).with_suffix(".parquet"), Path(path).with_suffix(".csv")
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    write_whole(parquet, sink.getvalue().to_pybytes())
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, sink)
    write_whole(csv, sink.getvalue().to_pybytes())
    return parquet, csv


def read_rows(path: str | Path) -> list[Measurement]:
    """From either file. ValueError on one that holds no measurements."""
    table = _read_csv(Path(path)) if Path(path).suffix == ".csv" else pyarrow.parquet.read_table(path)
    if missing := sorted(set(_FIXED) - set(table.column_names)):
        raise ValueError(f"{path} holds no measurements: without the columns {', '.join(missing)}")
    return [_to_row(record) for record in table.to_pylist()]


def to_table(rows: Sequence[Measurement]) -> pa.Table:
    """One column a quantity; every row has every column."""
    metrics = list(dict.fromkeys(name for row in rows for name in (*row.metrics, *row.absent)))
    if taken := sorted(name for name in metrics if name in _FIXED or name.startswith(ABSENT)):
        raise ValueError(f"metrics cannot be called {', '.join(taken)}: rows have a column of that name")
    reasons = [name for name in metrics if any(name in row.absent for row in rows)]
    schema = {
        **{name: kind for name, kind in _FIXED.items() if name not in _PROVENANCE},
        **{name: pa.float64() for name in metrics},
        **{ABSENT + name: pa.string() for name in reasons},
        **_PROVENANCE,
    }
    return pa.Table.from_pylist([_to_record(row) for row in rows], schema=pa.schema(list(schema.items())))


def _to_record(row: Measurement) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in (*_OWN, "bpp")}
    source = {name: getattr(row.provenance, name) for name in _PROVENANCE}
    return {**own, **row.metrics, **{ABSENT + name: reason for name, reason in row.absent.items()}, **source}


def _to_row(record: dict[str, Any]) -> Measurement:
    extra = {name: value for name, value in record.items() if name not in _FIXED and value not in (None, "")}
    return Measurement(
        **{name: record[name] for name in _OWN},
        metrics={name: value for name, value in extra.items() if not name.startswith(ABSENT)},
        absent={name.removeprefix(ABSENT): value for name, value in extra.items() if name.startswith(ABSENT)},
        provenance=Provenance(**{name: record[name] for name in _PROVENANCE}),
    )


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8", newline="") as file:
        names = [name.strip('"') for name in file.readline().strip().split(",")]
    types = {name: pa.string() if name.startswith(ABSENT) else _FIXED.get(name, pa.float64()) for name in names}
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    return pyarrow.csv.read_csv(path, convert_options=options)
