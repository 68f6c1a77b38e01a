"""What is made of the same content is not made again, what was stopped goes on, what failed ends only what needs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import __main__ as command
from experiments import content, runner
from experiments.content import listing, training_content
from experiments.listing import list_studies
from experiments.plan import Request, plan_trainings
from experiments.process import ROOT, Interrupted, run_process
from experiments.runner import run_study
from experiments.study import Study, parse_study
from hific.cli import INTERRUPTED

VARIANTS = {
    "base": ["model=hific"],
    "fitted": {"train": ["model=hific_xgboost"], "after": {"base_checkpoint": "base"}},
    "other": ["model=hific", "rate=high"],
}
STUDY = parse_study("x", {"title": "T", "question": "Q", "family": "hific", "cost": "C", "variants": VARIANTS}, "x")
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


class Commands:
    """Stands in for the processes: keeps each call, and leaves a last.ckpt as train.py does. fail: a status by a text
    that the arguments hold."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fail: dict[str, int] = {}

    def __call__(self, script: str, arguments: Sequence[str], keep_open: Sequence[int] = ()) -> int:
        self.calls.append([script, *arguments])
        folder = Path(next(one for one in arguments if one.startswith("hydra.run.dir=")).removeprefix("hydra.run.dir="))
        (folder / "last.ckpt").touch()
        status = next((status for text, status in self.fail.items() if text in arguments), 0)
        if status == INTERRUPTED:
            raise Interrupted
        return status

    @property
    def scripts(self) -> list[str]:
        found = [script for script, *_ in self.calls]
        self.calls = []
        return found


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return Request("smoke", tmp_path)


THREE = ["train.py"] * 3


def test_what_is_made_already_is_not_made_again(commands: Commands, request_: Request) -> None:
    assert run_study(STUDY, request_, commands) == {}
    assert commands.scripts == [*THREE, "evaluate.py"]
    assert run_study(STUDY, request_, commands) == {} and commands.scripts == []


def test_other_options_are_another_training_and_another_result(commands: Commands, request_: Request) -> None:
    run_study(STUDY, request_, commands)
    other = replace(request_, train=("model.ema_decay=0.9",))
    run_study(STUDY, other, commands)
    assert commands.scripts == [*THREE, "evaluate.py"] * 2
    ours, theirs = plan_trainings(STUDY, request_), plan_trainings(STUDY, other)
    assert not {one.folder for one in ours.values()} & {one.folder for one in theirs.values()}
    run_study(STUDY, replace(request_, evaluate=("crop=32",)), commands)
    assert commands.scripts == ["evaluate.py"], "trained already, measured otherwise"


def test_studies_share_what_they_have_in_common(commands: Commands, request_: Request) -> None:
    run_study(STUDY, request_, commands)
    del commands.calls[:]
    run_study(replace(STUDY, name="y"), request_, commands)
    assert commands.scripts == ["evaluate.py"]


def test_a_variant_begins_with_the_one_before_and_changes_with_it(commands: Commands, request_: Request) -> None:
    run_study(STUDY, request_, commands)
    trained = plan_trainings(STUDY, request_)
    assert any(one.endswith(f"base_checkpoint={trained['base'].checkpoint()}") for one in commands.calls[1])
    variants = {**STUDY.variants, "base": replace(STUDY.variants["base"], train=("model=hific", "model.ema_decay=0.9"))}
    changed = plan_trainings(replace(STUDY, variants=variants), request_)
    assert changed["fitted"].folder != trained["fitted"].folder and changed["other"].folder == trained["other"].folder


def test_what_was_stopped_goes_on(commands: Commands, request_: Request) -> None:
    folders = {label: one.folder for label, one in plan_trainings(STUDY, request_).items()}
    for label in ("base", "fitted"):
        commands.fail = {f"hydra.run.dir={folders[label]}": INTERRUPTED}
        with pytest.raises(Interrupted):
            run_study(STUDY, request_, commands)
    commands.fail = {}
    assert run_study(STUDY, request_, commands) == {}
    base, base_again, fitted, fitted_again, other, measured = commands.calls
    assert base_again == [*base, "resume=auto"] and fitted_again == [*fitted, "resume=auto"]
    assert not any("resume" in one for one in other) and measured[0] == "evaluate.py"


def test_a_failure_is_told_and_ends_only_what_needs_it(commands: Commands, request_: Request) -> None:
    folder = plan_trainings(STUDY, request_)["base"].folder
    commands.fail = {f"hydra.run.dir={folder}": 3}
    failures = run_study(STUDY, request_, commands)
    assert failures == {"base": f"train.py ended with status 3 in {folder}", "fitted": "not made without base"}
    assert "names=[other]" in commands.calls[-1]
    assert commands.scripts == ["train.py", "train.py", "evaluate.py"]
    commands.fail = {}
    assert run_study(STUDY, request_, commands) == {} and commands.scripts == ["train.py", "train.py", "evaluate.py"]


def test_a_deleted_checkpoint_is_trained_anew(commands: Commands, request_: Request) -> None:
    run_study(STUDY, request_, commands)
    del commands.calls[:]
    plan_trainings(STUDY, request_)["other"].checkpoint().unlink()
    run_study(STUDY, request_, commands)
    assert [call[0] for call in commands.calls] == ["train.py"]
    assert not any("resume" in one for one in commands.calls[0])


def test_a_given_checkpoint_stands_for_a_training(commands: Commands, request_: Request, tmp_path: Path) -> None:
    given = tmp_path / "given.ckpt"
    given.write_bytes(b"weights")
    run_study(STUDY, replace(request_, use={"base": given}), commands)
    assert any(one.endswith(f"base_checkpoint={given}") for one in commands.calls[0])
    assert commands.scripts == ["train.py", "train.py", "evaluate.py"]
    before = plan_trainings(STUDY, replace(request_, use={"base": given}))["fitted"].folder
    given.write_bytes(b"other weights")
    assert plan_trainings(STUDY, replace(request_, use={"base": given}))["fitted"].folder != before


def test_a_shipped_model_stands_for_a_training_at_its_size(commands: Commands, request_: Request) -> None:
    base = replace(STUDY.variants["base"], shipped={"small": "hific-low"})
    study = replace(STUDY, variants={**STUDY.variants, "base": base})
    assert run_study(study, replace(request_, size="small"), commands) == {}
    assert any(one == "base_checkpoint=hific-low" for one in commands.calls[0])
    assert commands.calls[-1][1].startswith("checkpoint=[hific-low,") and len(commands.scripts) == 3
    assert run_study(study, request_, commands) == {} and commands.scripts == [*THREE, "evaluate.py"]
    named = {"base": Path("hific-medium")}
    other = plan_trainings(study, replace(request_, size="small", use=named))["fitted"]
    assert other.folder != plan_trainings(study, replace(request_, size="small"))["fitted"].folder


def test_each_seed_is_a_training_of_its_own(commands: Commands, request_: Request) -> None:
    run_study(replace(STUDY, seeds=(1, 2)), request_, commands)
    labels = "base_seed1,base_seed2,fitted_seed1,fitted_seed2,other_seed1,other_seed2"
    assert set(commands.calls[-1][2].removeprefix("names=[").rstrip("]").split(",")) == set(labels.split(","))
    assert commands.scripts == [*THREE, *THREE, "evaluate.py"]
    run_study(replace(STUDY, seeds=(1,)), request_, commands)
    assert commands.scripts == ["evaluate.py"], "one seed of them is trained already"


def test_classical_codecs_are_the_studys_and_data_are_shared(commands: Commands, request_: Request) -> None:
    request = replace(request_, train=("data=folder", "data.root=a", "weights.dir=w"))
    run_study(replace(STUDY, codecs=("avif", "webp")), request, commands)
    assert {"classical=[avif,webp]", "data.root=a", "weights.dir=w"} <= set(commands.calls[-1])
    run_study(STUDY, replace(request, evaluate=("data=kodak", "data.root=k")), commands)
    assert {"data=kodak", "data.root=k", "weights.dir=w"} <= set(commands.calls[-1])
    assert not {"data=folder", "data.root=a"} & set(commands.calls[-1])


def test_content_is_what_lies_in_a_folder_not_where_it_lies(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "x.png").write_bytes(b"123")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")

    def identity(name: str) -> str:
        return training_content(["model=sae", "data=folder", f"data.root={tmp_path / name}"], {}).id

    first = identity("b")
    assert listing(tmp_path / "a") == listing(tmp_path / "b") and identity("a") == first
    (tmp_path / "b" / "y.png").touch()
    assert identity("b") != first


def test_content_leaves_out_what_a_run_tells_on_the_way_and_keeps_the_rest() -> None:
    same = [training_content(options, {}).id for options in (["model=sae"], ["logger=csv", "model=sae"])]
    others = [training_content(["model=sae", *more], {}).id for more in ([], ["seed=2"], ["trainer.devices=2"])]
    assert len(set(same)) == 1 and len(set(others)) == 3
    assert training_content(["model=sae"], {"init_from": "a"}).id not in {*same, *others}


def test_code_counts_and_comments_do_not() -> None:
    plain = "def f(x):\n    return x + 1\n"
    commented = '"""About."""\n\n\ndef f(x):\n    """Adds."""\n    # one\n    return x + 1\n'
    assert content._bare(plain) == content._bare(commented) != content._bare(plain.replace("1", "2"))


def test_two_experiments_do_not_train_the_same_at_once(
    commands: Commands, request_: Request, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = plan_trainings(STUDY, request_)["base"].folder
    # The first runner was killed; what it started lives on and has the folder for a while.
    holder = "import time; time.sleep(2)"
    with runner._only_one_in(folder) as lock:
        process = subprocess.Popen([sys.executable, "-c", holder], pass_fds=(lock,))
    run_study(STUDY, request_, commands)
    assert process.poll() == 0, "waited for"
    assert f"waiting for another run in {folder}" in capfd.readouterr().out


def test_ctrl_c_waits_for_what_training_saves_and_ends_the_experiment() -> None:
    code = f"from experiments import process; process.run_process('-c', [{STOPPABLE!r}]); print('went on')"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert any(line == "ready\n" for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, errors = process.communicate(timeout=60)
    assert output == "saved\n" and errors.strip().endswith("process.Interrupted")


def test_an_interrupted_command_interrupts_and_a_failed_one_has_its_status() -> None:
    assert run_process("-c", ["raise SystemExit(3)"]) == 3
    with pytest.raises(Interrupted):
        run_process("-c", [f"raise SystemExit({INTERRUPTED})"])


def test_the_command_line_tells_failures_at_its_end_and_ctrl_c_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def stopped(study: Study, request: Request) -> dict[str, str]:
        raise Interrupted

    monkeypatch.setattr("experiments.runner.run_study", stopped)
    assert command.main(["hific_small", "--output", str(tmp_path)]) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted; the same command goes on from here\n"
    monkeypatch.setattr(
        "experiments.runner.run_study", lambda study, request: {"low": "no", "high": "not made without low"}
    )
    assert command.main(["size=small", "hific_small"][::-1]) == 1
    assert capsys.readouterr().err == "failed: low: no\nfailed: high: not made without low\n"


def test_overrides_may_stand_on_both_sides_of_an_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = tmp_path / "last.ckpt"
    base.touch()
    asked: list[Request] = []
    monkeypatch.setattr("experiments.runner.run_study", lambda study, request: asked.append(request) or {})
    command.main(
        ["hific_small", "size=small", "--use", f"low={base}", "--evaluate", "crop=64", "--output", str(tmp_path)]
    )
    assert asked == [Request("small", tmp_path, (), ("crop=64",), {"low": base})]
    studies: list[Study] = []
    monkeypatch.setattr("experiments.runner.run_study", lambda study, request: studies.append(study) or {})
    command.main(["hific_small", "seeds=[1, 2,3]", "--use", "low=hific-low", "--output", str(tmp_path)])
    assert studies[0].seeds == (1, 2, 3)


def test_a_dry_run_shows_commands_and_makes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(["hific_small", "--dry-run", "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["train.py"] * 6 + ["evaluate.py"] * 3 and not list(
        tmp_path.iterdir()
    )


def test_the_list_says_what_was_run_and_where_its_last_result_is(commands: Commands, tmp_path: Path) -> None:
    study = replace(STUDY, name="hific_small")
    commands.fail = {"names=[base,fitted,other]": 1}
    run_study(study, Request("smoke", tmp_path), commands)
    line = next(line for line in list_studies(tmp_path).splitlines() if line.startswith("hific_small "))
    assert "started" in line and "experiments/hific_small/results" in line
    commands.fail = {}
    run_study(study, Request("smoke", tmp_path), commands)
    line = next(line for line in list_studies(tmp_path).splitlines() if line.startswith("hific_small "))
    assert "finished" in line and str(tmp_path / "hific_small" / "smoke-") in line


def test_a_study_that_there_is_not_is_told_before_ten_seconds_of_libraries() -> None:
    script = """
import sys
from experiments.__main__ import main
try:
    main(["wrongname"])
finally:
    assert not {"torch", "lightning"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.startswith("error: wrongname is no experiment; there are ablation_")
