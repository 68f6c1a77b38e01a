"""The folder of one evaluation: files of every system, and the reconstructions that a panel is drawn from.

    files/<system>/<image>.hfc ...
    reconstructions/<system>/<image>.png, reconstructions/original/<image>.png

Labels of systems become folder names by `slug`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from PIL import Image

from hific.errors import DAMAGED_FILE, ImageError, OptionError, in_a_line
from hific.evaluation.codecs_under_test import Pixels
from hific.evaluation.measurement import Measurement, Provenance
from hific.io.write_whole import write_whole

ROWS = "measurements.parquet"
ABSENT = "absent_"
_TYPES = {"str": pa.string(), "int": pa.int64(), "int | None": pa.int64(), "float | None": pa.float64()}
_PROVENANCE = {one.name: pa.string() for one in fields(Provenance)}
_OWN = {one.name: _TYPES[str(one.type)] for one in fields(Measurement) if str(one.type) in _TYPES}
_FIXED = {**_OWN, "bpp": pa.float64(), **_PROVENANCE}


def write_rows(rows: Sequence[Measurement], path: str | Path) -> tuple[Path, Path]:
    """Writes `path` with the suffixes .parquet and .csv, each whole or not at all; returns both paths."""
    return write_table(to_table(rows), path)


def write_table(table: pa.Table, path: str | Path) -> tuple[Path, Path]:
    """The same of any table."""
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


def read_evaluation_rows(source: Path) -> tuple[list[Measurement], Path]:
    """Of a folder that evaluate.py wrote, or of its file of rows: these, and the file. OptionError without one."""
    file = source / ROWS if source.is_dir() else source
    if not file.is_file():
        raise OptionError(f"there is no {file}: name a folder that evaluate.py wrote")
    try:
        return read_rows(file), file
    except (OSError, ValueError) as error:
        raise OptionError(f"{file} holds no measurements ({in_a_line(error)})") from error


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


ORIGINAL = "original"


def slug(label: str) -> str:
    """A label as a folder name: "sae_spn, context" becomes "sae_spn-context"."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "_"


def check_folders(labels: Sequence[str]) -> None:
    """OptionError where two labels are the same or would share a folder, and where one would share ORIGINAL's."""
    taken = {slug(ORIGINAL): ORIGINAL}
    for label in labels:
        if other := taken.get(slug(label)):
            raise OptionError(
                f"{label!r} and {other!r} would share the folder {slug(label)}: tell them apart by names="
            )
        taken[slug(label)] = label


@dataclass(frozen=True)
class EvaluationFolder:
    """`keep`: names of the images whose reconstructions are kept; files are kept of all."""

    root: Path
    keep: Collection[str] = ()

    def put(self, system: str, image: str, extension: str, data: bytes) -> bytes:
        path = self.root / "files" / slug(system) / f"{image}{extension}"
        write_whole(path, data)
        return path.read_bytes()

    def put_reconstruction(self, system: str, image: str, pixels: Pixels) -> None:
        if image in self.keep:
            buffer = BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            write_whole(self.reconstruction_path(system, image), buffer.getvalue())

    def reconstruction_path(self, system: str, image: str) -> Path:
        return self.root / "reconstructions" / slug(system) / f"{image}.png"

    def read_reconstruction(self, system: str, image: str, original: Pixels | None = None) -> Pixels:
        """uint8 [H, W, 3]; `system` may be ORIGINAL. ImageError for a file that is no picture, or where `original` is
        given has another size."""
        path = self.reconstruction_path(system, image)
        try:
            with Image.open(path) as opened:
                pixels = np.asarray(opened.convert("RGB"))
        except (*DAMAGED_FILE, SyntaxError, Image.DecompressionBombError) as error:
            raise ImageError(f"{path} cannot be read ({in_a_line(error)}): measure it again") from error
        if original is not None and pixels.shape != original.shape:
            own, expected = ("{1}x{0}".format(*one.shape) for one in (pixels, original))
            raise ImageError(f"{path} is {own}, its original {expected}: measure it again")
        return pixels
