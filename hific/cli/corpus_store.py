"""What a corpus became: rows in Parquet files that appear whole, one row an image, and .hfc files where asked for.

    --to parquet   DST/rows/part-000001.parquet ...    rows with the bytes of the files
    --to files     DST/a/b.hfc ...                     and the rows, without bytes, in DST/.rows
    both           DST/errors.csv                      path and why, where some could not be done

A row follows from the image's bytes and from the options, which each Parquet file has in its metadata ("hific"). Rows
are written behind those that they replace, which go when the run ends or, where it was killed, when the next begins;
then small parts become one too.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from hific.cli.corpus_worker import ROW
from hific.errors import FileRefusedError, UsageError, in_a_line
from hific.io.write_whole import write_whole, write_whole_by

To = Literal["files", "parquet"]
METADATA = b"hific"
FORMAT = "corpus-1"
ERRORS = "errors.csv"
# A part is written when it has so many rows or bytes, or so long after the one before: what a kill can lose.
PART_ROWS, PART_BYTES, PART_SECONDS = 2000, 64 << 20, 15.0


@dataclass(frozen=True)
class Known:
    """Of an image that a run before dealt with."""

    source_sha256: str
    error: str | None
    size: int


class CorpusStore:
    """The one writer to its folder. `known`: by path, what is there already."""

    def __init__(self, folder: Path, to: To, options: Mapping[str, Any], *, force: bool, keep_suffix: bool) -> None:
        """options: all that decides what an image becomes, as plain values. Raises UsageError where the folder has a
        corpus of others, unless `force`, which replaces it, and files of others too."""
        self._folder, self._to, self._force, self._keep_suffix = folder, to, force, keep_suffix
        self._rows_folder = folder / (".rows" if to == "files" else "rows")
        self._metadata = {METADATA: json.dumps({"format": FORMAT, **options}, sort_keys=True).encode()}
        self._rows: list[dict[str, Any]] = []
        self._size, self._flushed = 0, time.monotonic()
        try:
            self._rows_folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / ".lock").open("w")  # as long as this process writes
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{folder}: another hific corpus is writing there") from error
        except OSError as error:
            raise UsageError(f"{folder}: cannot be written ({error.strerror})") from error
        self._check_options()
        self._drop_replaced()
        self.known = self._read_known()
        self._number = max((int(part.stem.rpartition("-")[2]) for part in self._parts()), default=0)

    def is_done(self, path: str) -> bool:
        """Whether the same bytes need not be compressed again."""
        known = self.known.get(path)
        if known is None or known.error is not None:
            return False
        if self._to == "parquet":
            return True
        target = self.target(path)
        return target.is_file() and target.stat().st_size == known.size

    def target(self, path: str) -> Path:
        file = self._folder / path
        return file.with_name(file.name + ".hfc") if self._keep_suffix else file.with_suffix(".hfc")

    def add(self, row: Mapping[str, Any]) -> str | None:
        """A row of ROW; why its file was not written, or the row's own error, or None."""
        kept = dict(row)
        if self._to == "files" and kept["error"] is None:
            try:
                self._write_file(kept["path"], kept["data"])
            except OSError as error:
                kept["error"] = in_a_line(error)
        if self._to == "files" or kept["error"] is not None:
            kept["data"] = None
        self._rows.append(kept)
        self._size += len(kept["data"] or b"")
        if len(self._rows) >= PART_ROWS or self._size >= PART_BYTES:
            self.flush()
        error_of_row: str | None = kept["error"]
        return error_of_row

    def flush_if_due(self) -> None:
        if time.monotonic() - self._flushed > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        if not self._rows:
            return
        self._write_new_part(pa.Table.from_pylist(self._rows, self._schema))
        self._rows, self._size, self._flushed = [], 0, time.monotonic()

    def close(self, images: Collection[str], *, done: bool) -> int:
        """Everything on disk; the number of images in errors.csv, which lists those of `images` that could not be done
        so far. done: whether all were tried; a corpus of other options, which `force` replaces, goes no sooner."""
        self.flush()
        self._drop_replaced()
        if done:
            for part in self._parts():
                if not self._is_ours(part):
                    part.unlink()
        self._merge_small()
        known = {path: known.error for path, known in self._read_known().items() if path in images}
        errors = {path: error for path, error in known.items() if error is not None}
        if errors:
            lines = io.StringIO()
            csv.writer(lines, lineterminator="\n").writerows([("path", "error"), *sorted(errors.items())])
            write_whole(self._folder / ERRORS, lines.getvalue())
        else:
            (self._folder / ERRORS).unlink(missing_ok=True)
        return len(errors)

    def release(self) -> None:
        self._lock.close()

    @property
    def _schema(self) -> pa.Schema:
        fields = [field for field in ROW if field.name != "data" or self._to == "parquet"]
        return pa.schema(fields, metadata=self._metadata)

    def _write_file(self, path: str, data: bytes) -> None:
        target, before = self.target(path), self.known.get(path)
        ours = before is not None and before.error is None
        if target.exists() and not (self._force or ours):
            if target.is_file() and target.read_bytes() == data:
                return  # of a run that was killed before it wrote the row
            raise FileRefusedError(f"{target} exists and is another file: --force overwrites it")
        write_whole(target, data)

    def _write_new_part(self, table: pa.Table) -> None:
        self._number += 1
        self._write_part(self._rows_folder / f"part-{self._number:06d}.parquet", table)

    def _write_part(self, path: Path, table: pa.Table) -> None:
        def write(file: BinaryIO) -> None:
            pq.write_table(table, file, compression="zstd")

        write_whole_by(path, write)

    def _parts(self) -> list[Path]:
        return sorted(self._rows_folder.glob("part-*.parquet"))

    def _is_ours(self, part: Path) -> bool:
        """Whether its rows are of these options."""
        return _metadata_of(part) == self._metadata[METADATA]

    def _check_options(self) -> None:
        here = self._metadata[METADATA]
        for part in [] if self._force else self._parts():
            if (there := _metadata_of(part)) != here:
                raise UsageError(f"{self._folder}: {_difference(there, here)}: name another folder, or add --force")

    def _read_known(self) -> dict[str, Known]:
        known = {}
        for part in self._parts():
            if self._is_ours(part):
                for row in _read(part, ["path", "source_sha256", "error", "bytes"]).to_pylist():
                    known[row["path"]] = Known(row["source_sha256"] or "", row["error"], row["bytes"] or 0)
        return known

    def _drop_replaced(self) -> None:
        """The last row of an image counts."""
        later: set[str] = set()
        for part in reversed(self._parts()):
            paths = _read(part, ["path"])["path"].to_pylist()
            kept = [path not in later for path in paths]
            later |= set(paths)
            if not any(kept):
                part.unlink()
            elif not all(kept):
                table = _read(part)
                self._write_part(part, table.filter(pa.array(kept)))

    def _merge_small(self) -> None:
        """Killed in between, some rows are there twice until the next run begins."""
        waiting: list[Path] = []
        num_rows, num_bytes = 0, 0
        for part in [*filter(self._is_ours, self._parts()), None]:
            if part is not None:
                rows, size = pq.read_metadata(part).num_rows, part.stat().st_size
                if rows > PART_ROWS // 2 or size > PART_BYTES // 2:
                    continue
            if len(waiting) > 1 and (part is None or num_rows + rows > PART_ROWS or num_bytes + size > PART_BYTES):
                self._write_new_part(pa.concat_tables([_read(one) for one in waiting]))
                for one in waiting:
                    one.unlink()
                waiting, num_rows, num_bytes = [], 0, 0
            if part is not None:
                waiting.append(part)
                num_rows, num_bytes = num_rows + rows, num_bytes + size


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(part, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{part}: cannot be read as rows of a corpus ({in_a_line(error)})") from error


def _metadata_of(part: Path) -> bytes:
    try:
        found = pq.read_schema(part).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{part}: cannot be read as rows of a corpus ({in_a_line(error)})") from error
    return bytes(found.get(METADATA, b"{}"))


def _difference(there: bytes, here: bytes) -> str:
    before, now = json.loads(there), json.loads(here)
    if before.get("format") != FORMAT:
        return "has Parquet files of others"
    name = next(key for key in {**before, **now} if before.get(key) != now.get(key))
    return f"has a corpus of other options ({name} {before.get(name)} there, {now.get(name)} here)"
