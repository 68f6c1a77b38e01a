"""Runs that are stopped, killed or asked for again: what is done is not done twice; what fails ends no sweep."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import torch
from PIL import Image
from test_train import run, start, weights
from tiny_overrides import TINY_COMPRESSNET

from hific.cli import INTERRUPTED
from hific.cli.submitit_launcher import make_executor
from hific.cli.sweep import Sweep
from hific.errors import OptionError

SHORT = [
    *TINY_COMPRESSNET,
    "model=sae",
    "recipe.steps=4",
    "recipe.val_check_interval=4",
    "callbacks.tables.num_photos=4",
]


def state(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_text())["state"])


def points(folder: Path) -> dict[str, dict[str, str]]:
    """Lines of sweep.csv by the seed."""
    with (folder / "sweep.csv").open() as file:
        return {line["seed"]: line for line in csv.DictReader(file)}


def test_a_failing_point_does_not_end_a_sweep_and_again_only_what_is_missing_runs(tmp_path: Path) -> None:
    sweep = ["-m", *SHORT, "test=false", "hydra.sweep.dir=sweep"]
    output = run(*sweep, "seed=5000000000,1", cwd=tmp_path, status=1)
    assert output.splitlines()[-1].startswith("error: 1 of the sweep's points failed")
    folder = tmp_path / "sweep"
    found = points(folder)
    assert {seed: line["state"] for seed, line in found.items()} == {"1": "done", "5000000000": "failed"}
    assert "seed=5000000000 must be in" in found["5000000000"]["problem"] and float(found["1"]["val/psnr"]) > 0
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["seed=1", "seed=5000000000"]
    assert Image.open(folder / "sweep.png").width > 300

    written = (folder / "seed=1" / "last.ckpt").stat().st_mtime_ns
    output = run(*sweep, "seed=1,2", cwd=tmp_path, status=1)  # of the folder, one point is still not done
    assert "seed=1 is done already" in output and points(folder)["2"]["state"] == "done"
    assert (folder / "seed=1" / "last.ckpt").stat().st_mtime_ns == written


@pytest.mark.parametrize("folder", ["'a sweep'", '"a sweep"', "${oc.env:A_SWEEP}", "a sweep"])
def test_a_folder_in_quotes_or_by_reference_is_the_folder(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SWEEP", "a sweep")
    sweep = Sweep.of(["-m", "model=sae,gc", f"hydra.sweep.dir={folder}"])
    assert sweep is not None and sweep.folder == Path("a sweep")
    assert [one for one in sweep.arguments if one.startswith("hydra.sweep.dir")] == ["hydra.sweep.dir='a sweep'"]


def test_a_folder_by_what_is_not_known_yet_is_told() -> None:
    with pytest.raises(OptionError, match="give a plain folder"):
        Sweep.of(["-m", "model=sae,gc", "hydra.sweep.dir=${nothing.of_this_name}"])
    dated = Sweep.of(["-m", "model=sae,gc", "hydra.sweep.dir=a/${now:%Y}"])
    assert dated is not None and dated.folder.name.startswith("20")


def test_a_sweep_of_other_options_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    sweep = ["-m", *SHORT, "test=false", "hydra.sweep.dir=sweep", "seed=1"]
    run(*sweep, cwd=tmp_path)
    kept = (tmp_path / "sweep" / "last.ckpt").read_bytes()
    output = run(*sweep, "recipe.batch_size=1", cwd=tmp_path, status=1)
    assert "has a run of other options (recipe.batch_size 2 there, 1 here)" in output and "hydra.sweep.dir=" in output
    assert (tmp_path / "sweep" / "last.ckpt").read_bytes() == kept


def test_points_run_in_processes_at_the_same_time(tmp_path: Path) -> None:
    sweep = ["-m", *SHORT, "test=false", "hydra.sweep.dir=sweep", "seed=1,2", "launcher=processes"]
    run(*sweep, "hydra.launcher.n_jobs=2", cwd=tmp_path)
    assert {line["state"] for line in points(tmp_path / "sweep").values()} == {"done"}


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_as_unbroken(kills: int, tmp_path: Path) -> None:
    """SIGKILL to the whole process group, in whatever it is doing."""
    options = [*SHORT, "recipe.steps=12", "recipe.val_check_interval=6", "callbacks.last.every_n_steps=2", "test=false"]
    began = time.monotonic()
    run(*options, "hydra.run.dir=unbroken", cwd=tmp_path)
    took = time.monotonic() - began
    draw = random.Random(kills)
    for _ in range(kills):
        process = start(*options, "hydra.run.dir=broken", "resume=auto", cwd=tmp_path)
        time.sleep(draw.uniform(0.3, 1) * took)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    run(*options, "hydra.run.dir=broken", "resume=auto", cwd=tmp_path)
    unbroken, broken = (tmp_path / name / "last.ckpt" for name in ("unbroken", "broken"))
    assert state(broken.parent) == "done"
    for name, value in weights(unbroken).items():
        assert torch.equal(value, weights(broken)[name]), name
    again = run(*options, "hydra.run.dir=broken", "resume=auto", cwd=tmp_path)
    assert "broken is done already" in again


def test_a_truncated_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    options = [*SHORT, "callbacks.last.every_n_steps=2", "test=false", "hydra.run.dir=run"]
    run(*options, cwd=tmp_path)
    last, before = tmp_path / "run" / "last.ckpt", tmp_path / "run" / "last_before.ckpt"
    whole = last.read_bytes()
    assert before.is_file() and not before.samefile(last)
    last.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "run" / "run.json").unlink()  # of a run that was killed when the disk was lost
    output = run(*options, "resume=auto", cwd=tmp_path)
    assert "the one before is taken" in output and "going on from batch" in output
    assert state(tmp_path / "run") == "done"


def test_what_was_stopped_behind_its_last_batch_ends_by_resuming(tmp_path: Path) -> None:
    """As the studies' runner goes on: a signal while the coding is fitted, or a kill while it is tested."""
    once = [*SHORT, "hydra.run.dir=run"]
    run(*once, "test=false", cwd=tmp_path)
    record = tmp_path / "run" / "run.json"
    for stopped in ("interrupted", "running"):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"state": stopped, "metrics": {}}))
        run(*once, "resume=auto", cwd=tmp_path)
        assert state(tmp_path / "run") == "done" and "test/psnr" in json.loads(record.read_text())["metrics"]
    assert "raise recipe.steps" in run(*once, "ckpt_path=run/last.ckpt", cwd=tmp_path, status=1)


def test_resume_and_a_file_exclude_each_other(tmp_path: Path) -> None:
    output = run(*SHORT, "resume=auto", "ckpt_path=a.ckpt", cwd=tmp_path, status=1)
    assert "ckpt_path and resume exclude each other" in output
    assert "resume=maybe is not auto or null" in run(*SHORT, "resume=maybe", cwd=tmp_path, status=1)


@pytest.mark.slow
def test_a_job_that_dies_is_listed_and_ends_nothing(tmp_path: Path) -> None:
    """Of Submitit's local executor, which stands in for SLURM's."""
    options = ["-m", *SHORT, "seed=1,2", "recipe.steps=300", "test=false", "hydra.sweep.dir=sweep", "launcher=local"]
    process = start(*options, cwd=tmp_path)
    folder, deadline = tmp_path / "sweep", time.monotonic() + 500
    while len(list(folder.glob("*/run.json"))) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    below = psutil.Process(process.pid).children(recursive=True)
    next(one for one in below if "submitit.core._submit" in one.cmdline()).kill()
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 1 and "error: 1 of the sweep's points failed" in output, output
    assert "Traceback" not in output
    died, done = sorted(points(folder).values(), key=lambda line: line["state"], reverse=True)
    assert done["state"] == "done" and died["state"] == "failed" and died["problem"].startswith("its job ")


@pytest.mark.parametrize(("status", "asks"), [(INTERRUPTED, True), (0, False), (1, False)])
def test_a_job_of_slurm_that_was_interrupted_asks_to_be_queued_again(
    status: int, asks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("srun", f"exit {status}"), ("scontrol", f'echo "$@" > {tmp_path}/asked')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    options = {"submitit_folder": str(tmp_path), "max_num_timeout": 3, "timeout_min": 60, "partition": "gpu"}
    executor = make_executor("slurm", options)._executor
    assert executor.max_num_timeout == 3
    script = executor._make_submission_file_text("true", "0")
    assert "--partition=gpu" in script and "--time=60" in script
    done = subprocess.run(["bash"], input=script, text=True, env={**os.environ, "SLURM_JOB_ID": "7"}, check=False)
    assert done.returncode == status
    assert (tmp_path / "asked").exists() == asks
    assert not asks or (tmp_path / "asked").read_text() == "requeue 7\n"
