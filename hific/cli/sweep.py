"""A sweep of train.py: folders named by what is swept, and at its end a table of all points, the failed ones too.

SWEEP/model=sae,rate=low/run.json ...  ->  SWEEP/sweep.csv, sweep.md, sweep.png
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hific.cli import INTERRUPTED
from hific.cli.hydra_app import parsed_overrides
from hific.cli.run_folder import RUN, Run, read_run
from hific.errors import OptionError
from hific.evaluation.tables import Table
from hific.io.write_whole import write_whole

_FLAGS = ("-m", "--multirun")
_FOLDER, _EXCLUDED = "hydra.sweep.dir", "hydra.job.config.override_dirname.exclude_keys"
# The extra `sweeps` has what they need.
_PLUGINS = {"processes": "joblib", "slurm": "submitit", "local": "submitit"}


@dataclass(frozen=True)
class Sweep:
    """`arguments`: for Hydra, all points going to folders of `folder`."""

    arguments: Sequence[str]
    folder: Path

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Sweep | None:
        """Of train.py's arguments; None where they are of one run. OptionError where a launcher is not installed."""
        if not any(flag in arguments for flag in _FLAGS):
            return None
        named = [f"hydra/{one}" if one.startswith("launcher=") else one for one in arguments]
        _check_launcher([one.partition("=")[2] for one in named if one.startswith("hydra/launcher=")])
        given = [one.partition("=")[2] for one in named if one.startswith(f"{_FOLDER}=")]
        folder = given[-1] if given else f"outputs/sweep/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        fixed = ",".join(f"'{one.key_or_group}'" for one in parsed_overrides(named) if not one.is_sweep_override())
        added = [] if given else [f"{_FOLDER}={folder}"]
        return cls([*named, *added, f"{_EXCLUDED}=[{fixed}]"], Path(folder))

    @contextmanager
    def summarized(self) -> Iterator[None]:
        """Whatever ends it, a table of the points so far; exits with status 1 where some failed."""
        try:
            yield
        except BaseException as stop:
            summarize(self.folder)
            if isinstance(stop, KeyboardInterrupt) or (isinstance(stop, SystemExit) and stop.code == INTERRUPTED):
                print(f"to do what is missing: the same command with {_FOLDER}={self.folder}", file=sys.stderr)
            raise
        if failed := summarize(self.folder):
            sys.exit(
                f"error: {failed} of the sweep's points failed; the same command with {_FOLDER}={self.folder} tries "
                "them again"
            )


def summarize(folder: Path) -> int:
    """sweep.csv, .md and .png of all points below `folder`, printed too; the number of those that failed."""
    found = sorted(folder.rglob(RUN))
    runs = {path.parent.relative_to(folder).as_posix(): run for path in found if (run := read_run(path.parent))}
    if not runs:
        return 0
    table = _table(runs)
    write_whole(folder / "sweep.csv", table.to_csv())
    write_whole(folder / "sweep.md", table.to_markdown())
    print(table.to_markdown(), flush=True)
    if any(run.metrics for run in runs.values()):
        from hific.cli.sweep_plot import draw

        write_whole(folder / "sweep.png", draw(runs))
    print(f"{folder}/sweep.csv, .md", flush=True)
    return sum(run.state == "failed" for run in runs.values())


def swept(runs: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """The options in which points differ, by point: {point: {name: value}}."""
    by_point = {name: dict(one.split("=", 1) for one in run.overrides if "=" in one) for name, run in runs.items()}
    names = dict.fromkeys(key for options in by_point.values() for key in options)
    different = [key for key in names if len({options.get(key) for options in by_point.values()}) > 1]
    return {name: {key: options.get(key, "") for key in different} for name, options in by_point.items()}


def _table(runs: Mapping[str, Run]) -> Table:
    options = swept(runs)
    metrics = list(dict.fromkeys(name for run in runs.values() for name in run.metrics))
    metrics = [name for name in metrics if name.startswith(("val/", "test/"))] or metrics
    names = list(next(iter(options.values())))
    header = (*names, "state", "seconds", *metrics, "problem")
    lines = []
    for point, run in runs.items():
        values = [f"{run.metrics[name]:.5g}" if name in run.metrics else "" for name in metrics]
        lines.append((*options[point].values(), run.state, f"{run.seconds:.0f}", *values, run.problem))
    return Table(header, tuple(lines))


def _check_launcher(chosen: Sequence[str]) -> None:
    for name in chosen:
        plugin = _PLUGINS.get(name)
        if plugin is not None and find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None:
            raise OptionError(f"launcher={name} needs what pip install 'hific[sweeps]' brings")
