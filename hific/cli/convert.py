"""`hific compress` and `hific decompress`: a batch in which one bad input does not stop the others.

inputs ─ plan ─ admit ─ [ read ─ codec ─ bytes ] x jobs ─ write whole, one after another in the main thread
"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hific.cli.arguments import UsageError
from hific.cli.checkpoint import load_from_options
from hific.cli.plan import Task, find_inputs, plan_tasks
from hific.cli.precheck import admit
from hific.cli.report import BatchReport
from hific.cli.whole_file import write_whole
from hific.coding.errors import BitstreamError
from hific.ops.read_image import ImageError, image_size, image_suffixes, read_image

if TYPE_CHECKING:
    from hific.codecs.compressnet_codec import CompressNetCodec

# What is wrong with one input and says nothing about the next.
INPUT_ERRORS = (BitstreamError, OSError, MemoryError)


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


Convert = Callable[[Task], Made | Failed]


def run_convert(options: argparse.Namespace) -> int:
    """The whole command; raises UsageError before anything is written."""
    # Pillow warns of odd metadata with a file and line of its own source; what matters comes as a note or an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    compressing = options.command == "compress"
    suffixes = image_suffixes() if compressing else frozenset((".hfc",))
    inputs, problems = find_inputs(options.inputs, suffixes)
    extension = ".hfc" if compressing else ".png"
    tasks = plan_tasks(inputs, options.output, extension, one_named=len(options.inputs) == 1)
    if any(task.target is None for task in tasks) and sys.stdout.isatty():
        raise UsageError("standard output is a terminal, not a place for binary data: redirect it, or use -o")
    tasks, refused = admit(tasks, options)
    problems += refused
    codec = load_from_options(options) if tasks else None
    with BatchReport(options.command, len(tasks) + len(problems), quiet=options.quiet) as report:
        for problem in problems:
            report.failed(problem)
        if codec is not None:
            convert = _compressor(codec, options) if compressing else _decompressor(codec)
            _run(tasks, convert, options, report)
    return 1 if report.failures else 0


def _compressor(codec: CompressNetCodec, options: argparse.Namespace) -> Convert:
    def convert(task: Task) -> Made | Failed:
        try:
            source = task.source.path or io.BytesIO(sys.stdin.buffer.read())
            # Before the pixels are decoded: there may not be the memory for what follows.
            codec.check_size(*image_size(source, name=str(task.source)))
            image = read_image(source, max_pixels=codec.max_pixels, alpha=options.alpha, name=str(task.source))
            data = codec.compress(image.array)
        except ImageError as error:
            return Failed(str(error))
        except INPUT_ERRORS as error:
            return Failed(f"{task.source}: {error or type(error).__name__}")
        height, width = image.array.shape[:2]
        bpp = 8 * len(data) / (width * height)
        return Made(data, image.notes, f"{width}x{height}, {len(data)} bytes, {bpp:.4f} bpp")

    return convert


def _decompressor(codec: CompressNetCodec) -> Convert:
    def convert(task: Task) -> Made | Failed:
        try:
            data = sys.stdin.buffer.read() if task.source.path is None else task.source.path.read_bytes()
            image = codec.decompress(data)
        except INPUT_ERRORS as error:
            return Failed(f"{task.source}: {error or type(error).__name__}")
        png = io.BytesIO()
        image.save(png, "PNG")
        return Made(png.getvalue(), (), f"{image.width}x{image.height}")

    return convert


def _run(tasks: Sequence[Task], convert: Convert, options: argparse.Namespace, report: BatchReport) -> None:
    if options.jobs == 1:
        for task in tasks:
            _finish(task, convert(task), options, report)
        return
    pool = ThreadPoolExecutor(options.jobs)
    pending: deque[tuple[Task, Future[Made | Failed]]] = deque()
    try:
        for task in tasks:
            pending.append((task, pool.submit(convert, task)))
            # Finished images wait in memory for their turn: only a few.
            if len(pending) >= 2 * options.jobs:
                first, future = pending.popleft()
                _finish(first, future.result(), options, report)
        for waiting, future in pending:
            _finish(waiting, future.result(), options, report)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _finish(task: Task, outcome: Made | Failed, options: argparse.Namespace, report: BatchReport) -> None:
    if isinstance(outcome, Failed):
        report.failed(outcome.reason)
        return
    if outcome.notes:
        report.note(f"{task.source}: {', '.join(outcome.notes)}")
    if task.target is None:
        sys.stdout.buffer.write(outcome.data)
        sys.stdout.buffer.flush()
    else:
        try:
            write_whole(task.target, outcome.data, force=options.force)
        except OSError as error:
            report.failed(f"{task.source}: {error}")
            return
    report.done(f"{task.source} -> {task.target_name}: {outcome.summary}")
