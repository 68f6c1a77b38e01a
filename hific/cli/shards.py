"""`hific shards make FOLDER DST`."""

from __future__ import annotations

import argparse
import sys
import warnings

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hific.data.make_shards import ShardOptions, make_shards
from hific.data.source import ImageFolder
from hific.errors import UsageError, as_usage_error


def run_shards(options: argparse.Namespace) -> int:
    """The whole command; raises UsageError for what cannot be done at all. 1 where photos were left out."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=console, transient=True, disable=options.quiet or not sys.stderr.isatty())
    chosen = ShardOptions(options.shard_mb, options.store, not options.no_check)
    with bars, as_usage_error(options.destination, "; the same command goes on"):
        photos = bars.add_task("photos", total=None)
        try:
            count, bad = make_shards(
                ImageFolder(options.folder),
                options.destination,
                chosen,
                jobs=options.jobs,
                progress=lambda done, total: bars.update(photos, completed=done, total=total),
            )
        except ValueError as error:  # of how the folder is read
            raise UsageError(str(error)) from error
    for name, problem in bad:
        console.print(f"hific: left out: {problem if name in problem else f'{name}: {problem}'}")
    if not options.quiet:
        listed = f", {len(bad)} left out (bad.txt)" if bad else ""
        console.print(
            f"{count} photos in {options.destination}{listed}: train.py data=shards data.root={options.destination}"
        )
    return 1 if bad else 0
