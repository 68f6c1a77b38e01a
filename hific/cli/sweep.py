"""A sweep of train.py: folders named by what is swept, and at its end a table of all points, the failed ones too.

SWEEP/model=sae,rate=low/run.json ...  ->  SWEEP/sweep.csv, sweep.md, sweep.png

`launcher=` says where points run, `sweep=optuna` who chooses them (conf/hydra): both are Hydra's groups under shorter
names.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from hydra.core.utils import setup_globals
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hific.cli import INTERRUPTED
from hific.cli.hydra_app import parsed_overrides, with_overrides
from hific.cli.run_folder import RUN, Run, is_first_rank, read_run
from hific.errors import OptionError
from hific.evaluation.tables import Table
from hific.io.write_whole import write_whole

_FLAGS = ("-m", "--multirun")
_FOLDER, _EXCLUDED = "hydra.sweep.dir", "hydra.job.config.override_dirname.exclude_keys"
_WANDB = "logger.wandb"
STUDY = "study.json"
# The module that each needs, and the extra that brings it.
_NEEDS = {
    "hydra/launcher=processes": ("hydra_plugins.hydra_joblib_launcher", "sweeps"),
    "hydra/launcher=slurm": ("hydra_plugins.hydra_submitit_launcher", "sweeps"),
    "hydra/launcher=local": ("hydra_plugins.hydra_submitit_launcher", "sweeps"),
    "hydra/launcher=ray": ("ray", "ray"),
    "hydra/sweeper=optuna": ("optuna", "optuna"),
}
_GROUPS = {"launcher": "hydra/launcher", "sweep": "hydra/sweeper"}


@dataclass(frozen=True)
class Sweep:
    """`arguments`: for Hydra, all points going to folders of `folder`."""

    arguments: Sequence[str]
    folder: Path

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Sweep | None:
        """Of train.py's arguments; None where they are of one run. OptionError where what they name is not
        installed."""
        of_sweeps = [one for one in arguments if one.partition("=")[0] in _GROUPS]
        if not any(flag in arguments for flag in _FLAGS):
            if of_sweeps:
                raise OptionError(f"{of_sweeps[0]} is of a sweep: put -m before the options")
            return None
        named = [_as_hydra_has_it(one) for one in arguments]
        for one, asked in zip(named, arguments, strict=True):
            module, extra = _NEEDS.get(one, ("", ""))
            if module and not _is_installed(module):
                raise OptionError(f"{asked} needs what pip install 'hific[{extra}]' brings")
            if one == "hydra/launcher=slurm" and which("srun") is None:
                raise OptionError(f"{asked}: no srun here; on one machine: launcher=local, processes or ray")
        keys = [one.partition("=")[0] for one in named]
        folder = _folder_of(named) or f"outputs/sweep/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        named = [one for one in named if not one.startswith(f"{_FOLDER}=")]
        quoted = folder.replace("'", "\\'")
        added = [f"{_FOLDER}='{quoted}'"]
        if "logger=wandb" in named:
            of_wandb = {"group": f"'{Path(folder).name}'", "name": "${hydra:job.override_dirname}"}
            added += [f"{_WANDB}.{key}={value}" for key, value in of_wandb.items() if f"{_WANDB}.{key}" not in keys]
        parsed = parsed_overrides([*named, *added])
        fixed = ",".join(f"'{one.key_or_group}'" for one in parsed if not one.is_sweep_override())
        added.append(f"{_EXCLUDED}=[{fixed}]")
        return cls(with_overrides(named, added), Path(folder))

    @contextmanager
    def summarized(self) -> Iterator[None]:
        """Whatever ends it, a table of the points so far, by the first rank; exits with status 1 where some failed."""
        try:
            yield
        except BaseException as stop:
            if self._is_told_here():
                summarize(self.folder)
                if isinstance(stop, KeyboardInterrupt) or (isinstance(stop, SystemExit) and stop.code == INTERRUPTED):
                    print(f"to do what is missing: the same command with {_FOLDER}={self.folder}", file=sys.stderr)
            raise
        failed = summarize(self.folder) if self._is_told_here() else 0
        if failed:
            again = f"the same command with {_FOLDER}={self.folder} tries them again"
            chosen = (self.folder / STUDY).is_file()  # which has its points, these among them
            sys.exit(f"error: {failed} of the sweep's points failed{'' if chosen else f'; {again}'}")

    def _is_told_here(self) -> bool:
        """Whether there are points, of which the first rank tells: a wrong option has none, and need not wait for the
        libraries that know the rank."""
        return next(self.folder.rglob(RUN), None) is not None and is_first_rank()


def summarize(folder: Path) -> int:
    """sweep.csv, .md and .png of all points below `folder`, printed too; the number of those that failed."""
    found = sorted(folder.rglob(RUN))
    runs = {path.parent.relative_to(folder).as_posix(): run for path in found if (run := read_run(path.parent))}
    if not runs:
        return 0
    best = _best(folder)
    table = _table(runs, best)
    write_whole(folder / "sweep.csv", table.to_csv())
    write_whole(folder / "sweep.md", table.to_markdown())
    print(table.to_markdown(), flush=True)
    if any(run.metrics for run in runs.values()):
        from hific.cli.sweep_plot import draw

        write_whole(folder / "sweep.png", draw(runs, best or ()))
    print(f"{folder}/sweep.csv, .md", flush=True)
    return sum(run.state == "failed" for run in runs.values())


def swept(runs: Mapping[str, Run]) -> dict[str, dict[str, str]]:
    """The options in which points differ, by point: {point: {name: value}}."""
    by_point = {name: dict(one.split("=", 1) for one in run.overrides if "=" in one) for name, run in runs.items()}
    names = dict.fromkeys(key for options in by_point.values() for key in options)
    different = [key for key in names if len({options.get(key) for options in by_point.values()}) > 1]
    return {name: {key: options.get(key, "") for key in different} for name, options in by_point.items()}


def _best(folder: Path) -> list[str] | None:
    """Points that no other beats in every metric of the study; None where nobody asked for any."""
    try:
        found: list[str] = json.loads((folder / STUDY).read_text())["best"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found


def _table(runs: Mapping[str, Run], best: Sequence[str] | None) -> Table:
    """best: marked, where a study has any."""
    options = swept(runs)
    metrics = list(dict.fromkeys(name for run in runs.values() for name in run.metrics))
    metrics = [name for name in metrics if name.startswith(("val/", "test/"))] or metrics
    names = list(next(iter(options.values())))
    marks = ("best",) if best is not None else ()
    header = (*names, *marks, "state", "seconds", *metrics, "problem")
    lines = []
    for point, run in runs.items():
        values = [f"{run.metrics[name]:.5g}" if name in run.metrics else "" for name in metrics]
        mark = ("*" if point in (best or ()) else "",) if marks else ()
        lines.append((*options[point].values(), *mark, run.state, f"{run.seconds:.0f}", *values, run.problem))
    return Table(header, tuple(lines))


def _folder_of(arguments: Sequence[str]) -> str:
    """As Hydra will have it: without quotes, and what stands for something else resolved now, so that all points and
    the table go to one folder. Empty where none is given; OptionError where it cannot be resolved."""
    given = [one.value() for one in parsed_overrides(arguments) if one.key_or_group == _FOLDER]
    if not given:
        return ""
    setup_globals()  # Hydra's resolvers, such as now
    try:
        return str(OmegaConf.create({"folder": given[-1]}).folder)
    except OmegaConfBaseException as error:
        raise OptionError(f"{_FOLDER}={given[-1]}: cannot be resolved before the sweep: give a plain folder") from error


def _as_hydra_has_it(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"{_GROUPS[name]}{equals}{value}" if name in _GROUPS else argument


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False
