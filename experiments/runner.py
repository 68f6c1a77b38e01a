"""Runs a study: trains what is not trained yet, goes on where a run was stopped, measures, draws tables.

A failed variant is told at the end and ends only what needs it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from experiments.content import Content
from experiments.plan import (
    FINISHED,
    Evaluation,
    Request,
    Training,
    evaluations_wanted,
    plan_evaluation,
    plan_trainings,
)
from experiments.process import Run, run_process, show
from experiments.study import Study
from experiments.tables import write_tables
from hific.errors import HificError
from hific.evaluation.page.redraw import PAGE, add_to_page
from hific.io.write_whole import write_whole


def run_study(study: Study, request: Request, run: Run = run_process) -> dict[str, str]:
    """What failed and why, by label; nothing where all is made. Raises OptionError before anything runs where options
    cannot work, and Interrupted at Ctrl-C."""
    trainings = plan_trainings(study, request)
    failures: dict[str, str] = {}
    for label, training in trainings.items():
        if training.needs in failures:
            failures[label] = f"not made without {training.needs}"
        elif problem := _train(training, run):
            failures[label] = problem
    for name, checkpoints in evaluations_wanted(study).items():
        made = {label: one for label, one in checkpoints.items() if one.variant not in failures}
        title = f"evaluation {name}".strip()
        if not made:
            failures[title] = "nothing to measure"
            continue
        evaluation = plan_evaluation(study, request, name, made, trainings)
        if problem := _measure(evaluation, run):
            failures[title] = problem
        elif study.tables and len(made) < len(checkpoints):
            failures[", ".join(study.tables)] = "not drawn without all variants"
        else:
            failures |= _draw(study, evaluation, trainings)
    return failures


def show_commands(study: Study, request: Request) -> None:
    """All that `run_study` would run, and what is there already."""
    trainings = plan_trainings(study, request)
    for training in trainings.values():
        if training.is_finished:
            print(f"{training.label} is there: {training.checkpoint()}")
        else:
            show("train.py", _train_arguments(training))
    for name, checkpoints in evaluations_wanted(study).items():
        evaluation = plan_evaluation(study, request, name, checkpoints, trainings)
        if evaluation.is_finished:
            print(f"measured already: {evaluation.folder}")
        else:
            show("evaluate.py", _evaluate_arguments(evaluation))


def _train(training: Training, run: Run) -> str | None:
    """Why it failed, or None."""
    if training.is_finished or training.content is None:
        print(f"{training.label} is there: {training.checkpoint()}", flush=True)
        return None
    with _only_one_in(training.folder) as lock:
        if training.is_finished:  # by the one that was waited for
            return None
        _begin(training.folder, training.content)
        resumed = training.checkpoint().exists()
        if resumed:
            print(f"{training.label} was stopped before its end: going on", flush=True)
        if status := run("train.py", _train_arguments(training), (lock,)):
            anew = f"; to train anew, delete {training.checkpoint()}" if resumed else ""
            return f"train.py ended with status {status} in {training.folder}{anew}"
        if not training.checkpoint().exists():
            return f"train.py left no {training.checkpoint()}"
        (training.folder / FINISHED).touch()
    return None


def _train_arguments(training: Training) -> list[str]:
    arguments = [*training.overrides, f"hydra.run.dir={training.folder}"]
    # Not by ckpt_path: stopped behind its last batch, a run has nothing left to train, and still its end to do.
    return [*arguments, "resume=auto"] if training.checkpoint().exists() else arguments


def _measure(evaluation: Evaluation, run: Run) -> str | None:
    """Why it failed, or None."""
    if evaluation.is_finished:
        print(f"measured already: {evaluation.folder}", flush=True)
        return None
    with _only_one_in(evaluation.folder) as lock:
        if evaluation.is_finished:  # by the one that was waited for
            return None
        _begin(evaluation.folder, evaluation.content)
        if status := run("evaluate.py", _evaluate_arguments(evaluation), (lock,)):
            return f"evaluate.py ended with status {status} in {evaluation.folder}"
        (evaluation.folder / FINISHED).touch()
    return None


def _evaluate_arguments(evaluation: Evaluation) -> list[str]:
    where = (f"output_dir={evaluation.folder}", f"hydra.run.dir={evaluation.folder}", "hydra.output_subdir=null")
    return [*evaluation.overrides, *where]


def _draw(study: Study, evaluation: Evaluation, trainings: Mapping[str, Training]) -> dict[str, str]:
    paths = {label: trainings[one.variant].checkpoint(one.file) for label, one in evaluation.checkpoints.items()}
    try:
        tables = write_tables(study.tables, evaluation.folder, paths, study.seeds)
        if (evaluation.folder / PAGE).exists():  # not where it was measured before there were pages
            print(add_to_page(evaluation.folder, question=study.question, tables=tables), flush=True)
    except (HificError, AssertionError) as error:
        return {", ".join(study.tables) or "report.html": str(error)}
    return {}


def _begin(folder: Path, content: Content) -> None:
    (folder / FINISHED).unlink(missing_ok=True)
    write_whole(folder / "content.json", content.to_json())


@contextmanager
def _only_one_in(folder: Path) -> Iterator[int]:
    """Two experiments may need the same training: the second waits. The lock lasts as long as the process that works
    in the folder, even where the runner was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run in {folder}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
