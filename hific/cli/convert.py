"""`hific compress` and `hific decompress`: a batch in which one bad input does not stop the others, and what it tells.

inputs ─ plan ─ admit ─ [ read ─ codec ─ bytes ] x jobs ─ write whole, one after another in the main thread
                          └ one job: the next one is read meanwhile

On standard error: bars on a terminal, a line a file, notes, and errors.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hific.cli import interrupted
from hific.cli.checkpoint import load_from_options
from hific.cli.conversions import Compressor, Content, Conversion, Decompressor, Failed, Made, admit
from hific.cli.plan import Task, find_inputs, plan_tasks
from hific.errors import UsageError
from hific.io.read_image import image_suffixes
from hific.io.write_whole import write_whole


class BatchReport:
    """A context; lines printed inside it go above the bars. `quiet` leaves only errors. Counts the failures.

    A bar over the files where there are several, and below it one over the tiles of an image that has several,
    or over the steps of a search for its latent.
    """

    def __init__(self, title: str, total: int, *, quiet: bool) -> None:
        self.failures = self.successes = 0
        self._quiet = quiet
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        text = TextColumn("{task.description}", markup=False)
        self._progress = Progress(
            *(text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            disable=not sys.stderr.isatty() or quiet,
        )
        self._several = total > 1
        self._files = self._progress.add_task(title, total=total, visible=self._several)
        self._steps = self._progress.add_task("", visible=False)

    def __enter__(self) -> BatchReport:
        if self._several:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str) -> None:
        """The image that `steps` are told of from now on."""
        self._progress.update(self._steps, description=f"{name}, steps", visible=False)

    def steps(self, done: int, total: int) -> None:
        """A codec's `progress`."""
        if total == 1:
            return
        if done == 1:
            # The time that is left counts from here, not from the image before.
            self._progress.reset(self._steps, total=total)
        self._progress.start()
        self._progress.update(self._steps, completed=done, visible=done < total, refresh=True)

    def note(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text)

    def close(self) -> None:
        """How many of several went well, where not all did: errors may have gone by long ago."""
        if self.failures and self.failures + self.successes > 1:
            self.note(f"{self.successes} done, {self.failures} failed")

    def done(self, text: str) -> None:
        self.note(text)
        self.advance()

    def advance(self) -> None:
        """One more without a word."""
        self.successes += 1
        self._progress.advance(self._files)

    def failed(self, text: str, files: int = 1) -> None:
        """`files`: that the text is about."""
        self.failures += files
        self._console.print(f"hific: {text}")
        self._progress.advance(self._files, files)


def read_ahead(tasks: Sequence[Task], conversion: Conversion[Content]) -> Generator[tuple[Task, Content | Failed]]:
    """The tasks in their order with what was read for each; close it to stop reading."""
    pool = ThreadPoolExecutor(1)
    early: Future[Content | Failed | None] | None = None
    try:
        for task, following in zip(tasks, [*tasks[1:], None], strict=True):
            content = early.result() if early is not None else None
            if content is None:
                content = conversion.read(task)
            early = pool.submit(conversion.read_early, following) if following is not None else None
            yield task, content
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def run_convert(options: argparse.Namespace) -> int:
    """The whole command; raises UsageError before anything is written."""
    # Pillow warns of odd metadata with a file and line of its own source; what matters comes as a note or an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    compressing = options.command == "compress"
    suffixes = image_suffixes() if compressing else frozenset((".hfc",))
    inputs, not_found = find_inputs(options.inputs, suffixes)
    problems = Counter(not_found)
    extension = ".hfc" if compressing else ".png"
    one_named = len(options.inputs) == 1
    tasks = plan_tasks(inputs, options.output, extension, one_named=one_named, keep_suffix=options.keep_suffix)
    existing = {task for task in tasks if task.target is not None and task.target.is_file()}
    if options.skip_existing:
        tasks = [task for task in tasks if task not in existing]
    if any(task.target is None for task in tasks) and sys.stdout.isatty():
        raise UsageError("standard output is a terminal, not a place for binary data: redirect it, or use -o")
    tasks, refused = admit(tasks, options)
    problems.update(refused)
    models = load_from_options(options, tasks) if tasks else None
    with BatchReport(options.command, len(tasks) + problems.total(), quiet=options.quiet) as report:
        if options.skip_existing and existing:
            report.note(f"left as they are, since their outputs exist: {len(existing)}")
        for problem, files in problems.items():
            report.failed(problem, files)
        if models is not None:
            if options.jobs == 1:
                models.tell_progress(report.steps)
            if compressing:
                _run(tasks, Compressor(models, options), options, report)
            else:
                _run(tasks, Decompressor(models), options, report)
        report.close()
    return 1 if report.failures else 0


def _run(
    tasks: Sequence[Task], conversion: Conversion[Content], options: argparse.Namespace, report: BatchReport
) -> None:
    if options.jobs > 1:
        _run_jobs(tasks, conversion, options, report)
        return
    contents = read_ahead(tasks, conversion)
    with closing(contents):
        for task, content in contents:
            report.begin(str(task.source))
            _finish(task, _made(task, content, conversion), options, report)


def _run_jobs(
    tasks: Sequence[Task], conversion: Conversion[Content], options: argparse.Namespace, report: BatchReport
) -> None:
    pool = ThreadPoolExecutor(options.jobs)
    pending: deque[tuple[Task, Future[Made | Failed]]] = deque()
    try:
        for task in tasks:
            pending.append((task, pool.submit(_convert, task, conversion)))
            # Finished images wait in memory for their turn: only a few.
            if len(pending) >= 2 * options.jobs:
                first, future = pending.popleft()
                _finish(first, future.result(), options, report)
        for waiting, future in pending:
            _finish(waiting, future.result(), options, report)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _convert(task: Task, conversion: Conversion[Content]) -> Made | Failed:
    return _made(task, conversion.read(task), conversion)


def _made(task: Task, content: Content | Failed, conversion: Conversion[Content]) -> Made | Failed:
    return content if isinstance(content, Failed) else conversion.make(task, content)


def _finish(task: Task, outcome: Made | Failed, options: argparse.Namespace, report: BatchReport) -> None:
    if interrupted.is_set():
        raise KeyboardInterrupt
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
