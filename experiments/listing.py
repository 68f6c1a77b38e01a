"""All experiments in a table: what was run of each, where its last result is, what it costs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from experiments.plan import FINISHED
from experiments.study import FOLDER, read_study, study_names


def list_studies(output: Path) -> str:
    """`output`: the runner's folder of checkpoints and results."""
    header = ("experiment", "state", "last result", "cost at size=small")
    lines = [header, *(_line(name, output) for name in study_names())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    return "\n".join("  ".join((*map(str.ljust, line, widths), line[-1])) for line in lines)


def _line(name: str, output: Path) -> tuple[str, str, str, str]:
    runs = [path.parent for path in (output / name).glob("*/content.json")]
    finished = [run for run in runs if (run / FINISHED).exists()]
    state = "finished" if finished else "started" if runs else "not run here"
    if finished:
        newest = max(finished, key=_finished_at)
        last = f"{datetime.fromtimestamp(_finished_at(newest)):%Y-%m-%d %H:%M} {_shown(newest)}"
    else:
        last = f"experiments/{name}/results" if (FOLDER / name / "results").is_dir() else ""
    return name, state, last, read_study(name).cost


def _finished_at(folder: Path) -> float:
    return (folder / FINISHED).stat().st_mtime


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
