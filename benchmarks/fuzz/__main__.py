"""`make fuzz`: so many tries of each kind, by seed, and a table of what became of them (docs/reliability.md).

Ends with status 1 where anything was a problem: another error than one line, a wrong result, or more time than allowed.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial

from benchmarks.fuzz import checkpoints, command_lines, images, streams
from benchmarks.fuzz.outcomes import Outcomes, peak_megabytes

KINDS: dict[str, tuple[Callable[[int], str], float, int]] = {
    "streams": (streams.try_stream, streams.MOST_SECONDS, 20_000),
    "checkpoints": (checkpoints.try_checkpoint, checkpoints.MOST_SECONDS, 1_000),
    "shipped": (partial(checkpoints.try_checkpoint, shipped=True), checkpoints.MOST_SECONDS, 50),
    "images": (images.try_image, images.MOST_SECONDS, 5_000),
    "command-lines": (command_lines.try_command_line, command_lines.MOST_SECONDS, 500),
}
"""name: (what is tried, seconds that it may take, tries by default)"""


def run(kind: str, count: int, first_seed: int = 0, most_minutes: float = float("inf")) -> Outcomes:
    """Seeds from `first_seed` on; fewer than `count` where the minutes are over."""
    attempt, most_seconds, _ = KINDS[kind]
    # What is imported and made once is no try's.
    attempt(first_seed)
    outcomes, end = Outcomes(kind), time.monotonic() + 60 * most_minutes
    for seed in range(first_seed, first_seed + count):
        outcomes.note(seed, partial(attempt, seed), most_seconds)
        if time.monotonic() > end:
            break
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    for kind, (_, _, count) in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, metavar="N", help=f"tries (default {count})")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="at most, of each kind")
    options = parser.parse_args()
    # A crash in a library's code says where.
    faulthandler.enable()
    warnings.filterwarnings("ignore")
    problems = 0
    print("| kind | outcome | count |\n|---|---|--:|")
    for kind in KINDS:
        count = getattr(options, kind.replace("-", "_"))
        if count:
            outcomes = run(kind, count, options.seed, options.minutes)
            print(outcomes.table(), flush=True)
            print(f"| {kind} | peak memory of the process so far | {peak_megabytes()} MB |", flush=True)
            problems += outcomes.num_problems
            for problem in outcomes.problems:
                print(problem, file=sys.stderr, flush=True)
    print(f"{problems} problems", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
