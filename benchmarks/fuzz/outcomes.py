"""What became of each try: its class, how long it took, how much memory the process had at most."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_KEPT = 20


@dataclass
class Outcomes:
    """Seconds are of the processor. outcomes: how often each class came up; problems: of what must not be, `MOST_KEPT`
    at most, with their seeds."""

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    num_problems: int = 0
    slowest: tuple[float, int] = (0.0, 0)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())

    def note(self, seed: int, make: Callable[[], str], most_seconds: float) -> None:
        """`make` returns the class of what happened; whatever it raises, and more seconds, are problems."""
        start = time.process_time()
        try:
            outcome = make()
        except Exception as error:
            outcome = "PROBLEM"
            self._problem(f"{self.name} {seed}: {type(error).__name__}: {str(error)[:300]}")
        seconds = time.process_time() - start
        if seconds > most_seconds:
            self._problem(f"{self.name} {seed}: {outcome} took {seconds:.2f} s")
        self.slowest = max(self.slowest, (seconds, seed))
        self.seconds += seconds
        self.outcomes[outcome] += 1

    def _problem(self, text: str) -> None:
        self.num_problems += 1
        if len(self.problems) < MOST_KEPT:
            self.problems.append(text)

    def table(self) -> str:
        """Markdown rows: kind, class, count."""
        rows = [f"| {self.name} | {outcome} | {count} |" for outcome, count in self.outcomes.most_common()]
        slowest, seed = self.slowest
        total = f"{self.count} tries, {1e3 * self.seconds / max(1, self.count):.2f} ms each"
        return "\n".join([*rows, f"| {self.name} | {total}, slowest {slowest:.3f} s (seed {seed}) | |"])


def peak_megabytes() -> int:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def one_line(error: BaseException) -> str:
    """The class of an error that is told to a user; raises AssertionError where it is not one short line."""
    text = str(error)
    assert text and "\n" not in text and len(text) < 1000, f"not a line: {text!r}"
    return type(error).__name__
