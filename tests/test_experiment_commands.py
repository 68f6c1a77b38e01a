"""Experiments train what is not trained yet, go on where a run was interrupted, and take given checkpoints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import commands
from experiments.commands import INTERRUPTED, Options, parse, train

REPOSITORY = Path(__file__).resolve().parents[1]
# A training that the first Ctrl-C ends after a while, with status 0.
STOPPABLE = """
import signal, threading
asked = threading.Event()
signal.signal(signal.SIGINT, lambda *_: asked.set())
print("ready", flush=True)
asked.wait(60)
threading.Event().wait(1)
print("saved", flush=True)
"""


class Trainings:
    """Stands in for train.py: keeps the overrides of each run, and leaves a last.ckpt as train.py does."""

    def __init__(self) -> None:
        self.overrides: list[list[str]] = []
        self.status = 0

    def __call__(self, script: str, *overrides: str) -> None:
        self.overrides.append([script, *overrides])
        folder = Path(next(one for one in overrides if one.startswith("hydra.run.dir=")).removeprefix("hydra.run.dir="))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.ckpt").touch()
        if self.status:
            sys.exit(self.status)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    found = Trainings()
    monkeypatch.setattr(commands, "run", found)
    return found


def test_what_is_finished_is_not_trained_again_and_what_was_interrupted_goes_on(
    trainings: Trainings, tmp_path: Path
) -> None:
    options = Options(tmp_path, ("size=small",), ())
    last = tmp_path / "base" / "last.ckpt"
    trainings.status = INTERRUPTED
    for _ in range(2):
        with pytest.raises(SystemExit):
            train(options, "base", "model=hific")
    first = ["train.py", "model=hific", "size=small", f"hydra.run.dir={last.parent}"]
    assert trainings.overrides == [first, [*first[:-1], f"ckpt_path={last}", first[-1]]]
    trainings.status = 0
    assert [train(options, "base", "model=hific") for _ in range(2)] == [last, last]
    assert len(trainings.overrides) == 3, "finished: not again"


def test_a_deleted_checkpoint_is_trained_anew_and_finished_only_at_its_end(
    trainings: Trainings, tmp_path: Path
) -> None:
    options = Options(tmp_path, (), ())
    last = train(options, "base")
    last.unlink()
    trainings.status = 1
    for _ in range(2):
        with pytest.raises(SystemExit):
            train(options, "base")
    assert [f"ckpt_path={last}" in one for one in trainings.overrides] == [False, False, True]


def test_ctrl_c_waits_for_what_training_saves_and_ends_the_experiment() -> None:
    code = f"from experiments import commands; commands.run('-c', {STOPPABLE!r}); print('went on')"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert any(line == "ready\n" for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=60)
    assert output == "saved\n" and process.returncode == INTERRUPTED


def test_a_failure_ends_the_experiment_with_its_status() -> None:
    with pytest.raises(SystemExit) as told:
        commands.run("-c", "raise SystemExit(3)")
    assert told.value.code == 3


def test_overrides_may_stand_on_both_sides_of_a_base(tmp_path: Path) -> None:
    base = tmp_path / "last.ckpt"
    base.touch()
    arguments = ["size=small", "--base", str(base), "data=kodak", "--evaluate", "crop=64"]
    options = parse("", "outputs/x", arguments, bases=["CHECKPOINT"])
    assert options.bases == (base,)
    assert options.train == ("size=small", "data=kodak") and options.evaluate == ("data=kodak", "crop=64")
    assert parse("", "outputs/x", ["size=small"], bases=["CHECKPOINT"]).bases == ()
    three = ["--bases", *[str(base)] * 3, "size=small"]
    assert parse("", "outputs/x", three, bases=["LOW", "MEDIUM", "HIGH"]).bases == (base,) * 3


def test_a_missing_base_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*absent\.ckpt: no such checkpoint$"):
        parse("", "outputs/x", ["--base", str(tmp_path / "absent.ckpt")], bases=["CHECKPOINT"])
