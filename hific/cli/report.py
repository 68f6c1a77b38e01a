"""What a batch tells on standard error: bars on a terminal, a line a file, notes, and errors."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
        self.successes += 1
        self.note(text)
        self._progress.advance(self._files)

    def failed(self, text: str) -> None:
        self.failures += 1
        self._console.print(f"hific: {text}")
        self._progress.advance(self._files)
