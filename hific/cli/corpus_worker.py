"""One image of a corpus to bytes, in a process that holds the model: where it is read, and the rows that come back."""

from __future__ import annotations

import argparse
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hific.cli.checkpoint import load_from_options
from hific.cli.conversions import Compressor, Failed
from hific.cli.plan import Input, Task, find_inputs
from hific.coding.container import read_info
from hific.errors import CheckpointError, OptionError, UsageError, in_a_line
from hific.io.file_systems import file_system, is_url, read_bytes
from hific.io.read_image import image_suffixes

ROW = pa.schema(
    [
        ("path", pa.string()),  # below the corpus, with /
        ("source_sha256", pa.string()),
        ("source_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("notes", pa.string()),  # what was converted on the way to 8-bit sRGB
        ("error", pa.string()),  # or null
        ("data", pa.large_binary()),  # an .hfc file
    ]
)
"""Of an image. What is known of it, and null for the rest."""
# What a worker tells beside the row: whether there is nothing new in it, or no image can be done at all.
_ANSWER = pa.schema([*ROW, ("unchanged", pa.bool_()), ("fatal", pa.string())])
WORK = pa.schema([("path", pa.string()), ("known_sha256", pa.string())])
"""What a worker is given: an image, and the digest of that which is done already."""


@dataclass(frozen=True)
class Corpus:
    """Images below a folder of this machine, or below a URL that fsspec opens (s3://, gs://, zip://...::...)."""

    root: str

    def images(self) -> list[str]:
        """Paths below the root, with /, in order; hidden ones left out. Raises UsageError where there are none."""
        suffixes = image_suffixes()
        if not is_url(self.root):
            if not os.path.isdir(self.root):
                raise UsageError(f"{self.root}: no such folder")
            inputs, problems = find_inputs([self.root], suffixes)
            if problems:
                raise UsageError(problems[0])
            return sorted(one.relative.as_posix() for one in inputs)
        try:
            system, top = file_system(self.root)
        except OptionError as error:
            raise UsageError(str(error)) from error
        try:
            found = [path[len(top) :].lstrip("/") for path in system.find(top)]
        except Exception as error:  # of whichever library the URL is for
            raise UsageError(f"{self.root}: cannot be listed ({in_a_line(error)})") from error
        images = [path for path in found if os.path.splitext(path)[1].lower() in suffixes and not _is_hidden(path)]
        if not images:
            raise UsageError(f"{self.root}: no {' '.join(sorted(suffixes))} file in it")
        return sorted(images)

    def read(self, path: str) -> bytes:
        """Raises OSError, and for URLs whatever their libraries raise."""
        return read_bytes(self.root, path)


@dataclass(frozen=True)
class _HeldInput(Input):
    """An image that was read already."""

    data: bytes = b""

    @property
    def is_stream(self) -> bool:
        return True

    def read(self) -> bytes:
        return self.data

    def __str__(self) -> str:
        return self.relative.as_posix()


TRIES = 3
DEAD = f"its worker died {TRIES} times: too little memory, or a crash"


class Attempts:
    """An actor beside the workers, which counts how often an image was begun and not ended: Ray takes up the work of a
    dead worker for ever, and an image that kills each of them would never be told."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin(self, path: str, ended: str | None) -> int:
        """The number of this attempt. ended: the image before in the same block."""
        if ended is not None:
            self._begun.pop(ended, None)
        self._begun[path] = self._begun.get(path, 0) + 1
        return self._begun[path]


class CorpusWorker:
    """Called by Ray Data with a few rows of WORK at a time; loads its model at the first image that needs it."""

    def __init__(self, corpus: Corpus, options: argparse.Namespace, attempts: Any) -> None:
        """options: of `hific compress`; attempts: a handle of the actor."""
        self._corpus = corpus
        self._options = options
        self._attempts = attempts
        self._ended: str | None = None
        self._compressor: Compressor | None = None

    def __call__(self, work: pa.Table) -> pa.Table:
        rows = [self._row(one["path"], one["known_sha256"]) for one in work.to_pylist()]
        return pa.Table.from_pylist(rows, schema=_ANSWER)

    def _row(self, path: str, known_sha256: str) -> dict[str, Any]:
        import ray

        row: dict[str, Any] = {"path": path}
        attempt, self._ended = ray.get(self._attempts.begin.remote(path, self._ended)), path
        if attempt > TRIES:
            return {**row, "error": DEAD}
        try:
            source = self._corpus.read(path)
        except Exception as error:  # of whichever library reads it
            return {**row, "error": f"cannot be read ({in_a_line(error)})"}
        row |= {"source_sha256": hashlib.sha256(source).hexdigest(), "source_bytes": len(source)}
        if row["source_sha256"] == known_sha256:
            return {**row, "unchanged": True}
        try:
            return row | self._compressed(path, source)
        except (UsageError, CheckpointError, OptionError) as error:
            return {**row, "fatal": str(error)}

    def _compressed(self, path: str, source: bytes) -> dict[str, Any]:
        if self._compressor is None:
            self._compressor = Compressor(load_from_options(self._options, ()), self._options)
        task = Task(_HeldInput(None, Path(path), searched=True, data=source), None)
        content = self._compressor.read(task)
        made = content if isinstance(content, Failed) else self._compressor.make(task, content)
        if isinstance(made, Failed):
            return {"error": in_a_line(ValueError(made.reason.removeprefix(f"{path}: ")), 1000)}
        info = read_info(made.data)
        return {
            "width": info.width,
            "height": info.height,
            "bytes": len(made.data),
            "sha256": hashlib.sha256(made.data).hexdigest(),
            "notes": ", ".join(made.notes),
            "data": made.data,
        }


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
