"""What a batch tells on standard error: a bar on a terminal, a line a file, notes, and errors."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class BatchReport:
    """A context; lines printed inside it go above the bar. `quiet` leaves only errors. Counts the failures."""

    def __init__(self, title: str, total: int, *, quiet: bool) -> None:
        self.failures = 0
        self._quiet = quiet
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = sys.stderr.isatty() and not quiet and total > 1
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not shown)
        self._bar = self._progress.add_task(title, total=total)

    def __enter__(self) -> BatchReport:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text)

    def done(self, text: str) -> None:
        self.note(text)
        self._progress.advance(self._bar)

    def failed(self, text: str) -> None:
        self.failures += 1
        self._console.print(f"hific: {text}")
        self._progress.advance(self._bar)
