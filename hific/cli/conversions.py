"""One image to a file and back, in two steps, so that the next input can be read while the present one is coded.

Before both, and before torch is loaded for them: what names and headers refuse.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from hific.cli.plan import Task, find_clashes
from hific.codecs.memory import DECODE_MAX_PIXELS, check_pixels
from hific.coding.container import unpack
from hific.errors import BitstreamError, ImageError
from hific.io.read_image import ReadImage, image_size, read_image
from hific.io.write_whole import check_target

if TYPE_CHECKING:
    from hific.cli.checkpoint import Models
    from hific.codecs.learned_codec import LearnedCodec

# 150 MB of pixels: what may wait in memory for its turn.
EARLY_PIXELS = 50_000_000

INPUT_ERRORS = (BitstreamError, OSError, MemoryError)


def admit(tasks: Sequence[Task], options: argparse.Namespace) -> tuple[list[Task], Counter[str]]:
    """The tasks that are worth starting, and why the others are not, with how many each reason is of: a clash is told
    once for all who are in it. Standard input and pipes are not looked at."""
    clashes = find_clashes(tasks)
    admitted: list[Task] = []
    problems: Counter[str] = Counter()
    for task in tasks:
        try:
            _check_source(task, options)
            if task in clashes:
                problems[clashes[task]] += 1
                continue
            if task.target is not None:
                check_target(task.target, force=options.force)
        except ImageError as error:
            problems[str(error)] += 1
        except (BitstreamError, OSError) as error:
            problems[f"{task.source}: {error}"] += 1
        else:
            admitted.append(task)
    return admitted, problems


def _check_source(task: Task, options: argparse.Namespace) -> None:
    """Which model compresses is known only from its checkpoint: until then the limit is that of all."""
    path = task.source.path
    if path is None or task.source.is_stream:
        return
    if options.command == "compress":
        check_pixels(*image_size(path), options.max_pixels or DECODE_MAX_PIXELS)
        return
    unpack(path.read_bytes(), max_pixels=options.max_pixels or DECODE_MAX_PIXELS)


@dataclass(frozen=True)
class Made:
    """The bytes of an output file; `notes` on what was converted; `summary` for the line about it."""

    data: bytes
    notes: tuple[str, ...]
    summary: str


@dataclass(frozen=True)
class Failed:
    """Why an input was skipped."""

    reason: str


Content = TypeVar("Content")


class Conversion(Protocol[Content]):
    """What is wrong with one input comes as Failed, and says nothing about the next."""

    def read(self, task: Task) -> Content | Failed: ...

    def read_early(self, task: Task) -> Content | Failed | None:
        """Before it is the task's turn, in another thread; None for what had better be read at its turn."""
        ...

    def make(self, task: Task, content: Content) -> Made | Failed: ...


class Compressor:
    """Images to .hfc files."""

    def __init__(self, models: Models, options: argparse.Namespace) -> None:
        self._models = models
        self._options = options

    def read(self, task: Task) -> ReadImage | Failed:
        try:
            # A stream is read once, to be looked at as often as it takes.
            source = io.BytesIO(task.source.read()) if task.source.is_stream else task.source.path
            assert source is not None
            # Before the pixels are decoded: there may not be the memory for what follows.
            self._models.codecs.check_size(*image_size(source, name=str(task.source)))
        except ImageError as error:
            return Failed(str(error))
        except INPUT_ERRORS as error:
            return _failed(task, error)
        return self._decode(task, source)

    def read_early(self, task: Task) -> ReadImage | Failed | None:
        assert task.source.path is not None
        if task.source.is_stream:
            return None
        try:
            width, height = image_size(task.source.path)
            self._models.codecs.check_size(width, height)
        except (ImageError, *INPUT_ERRORS):
            return None
        if width * height > EARLY_PIXELS:
            return None
        content = self._decode(task, task.source.path)
        # Errors are told at its turn, if they are still true then: now there may be too little memory.
        return None if isinstance(content, Failed) else content

    def _decode(self, task: Task, source: Path | io.BytesIO) -> ReadImage | Failed:
        max_pixels = max(codec.max_pixels for codec in self._models.codecs.codecs)
        try:
            return read_image(source, max_pixels=max_pixels, alpha=self._options.alpha, name=str(task.source))
        except ImageError as error:
            return Failed(str(error))

    def make(self, task: Task, content: ReadImage) -> Made | Failed:
        height, width = content.array.shape[:2]
        try:
            with _memory_errors():
                data, codec = self._compress(content, width * height)
        # ValueError: no file fits, or the model has diverged.
        except (ValueError, *INPUT_ERRORS) as error:
            return _failed(task, error)
        summary = f"{width}x{height}, {len(data)} bytes, {8 * len(data) / (width * height):.4f} bpp"
        several = len(self._models.codecs.codecs) > 1
        return Made(data, content.notes, f"{summary}, {self._models.path_of(codec)}" if several else summary)

    def _compress(self, content: ReadImage, num_pixels: int) -> tuple[bytes, LearnedCodec]:
        codecs, options = self._models.codecs, self._options
        if options.max_bytes is not None:
            return codecs.compress_within(content.array, options.max_bytes)
        if options.bpp is not None:
            return codecs.compress_within(content.array, int(options.bpp * num_pixels / 8))
        (codec,) = codecs.check_size(content.array.shape[1], content.array.shape[0])
        return codec.compress(content.array), codec


class Decompressor:
    """.hfc files to PNG."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def read(self, task: Task) -> bytes | Failed:
        try:
            return task.source.read()
        except INPUT_ERRORS as error:
            return _failed(task, error)

    read_early = read

    def make(self, task: Task, content: bytes) -> Made | Failed:
        try:
            with _memory_errors():
                image = self._models.codecs.decompress(content)
        except INPUT_ERRORS as error:
            return _failed(task, error)
        png = io.BytesIO()
        image.save(png, "PNG")
        return Made(png.getvalue(), (), f"{image.width}x{image.height}")


@contextmanager
def _memory_errors() -> Iterator[None]:
    """torch says by RuntimeErrors that memory ran out: one image's misfortune, not the batch's."""
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in ("out of memory", "not enough memory", "can't allocate memory")):
            raise
        raise MemoryError("memory ran out: take smaller tiles (--tile) or fewer --jobs, or downscale it") from error


def _failed(task: Task, error: Exception) -> Failed:
    return Failed(f"{task.source}: {str(error) or type(error).__name__}")
