"""launcher=ray on a local Ray: points run at the same time, and one whose process dies goes on or is listed."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from test_optuna_sweep import LR
from test_sweep import SHORT, points, state
from test_train import run, start

pytestmark = pytest.mark.slow
RAY = ["-m", *SHORT, "test=false", "hydra.sweep.dir=sweep", "launcher=ray"]


def kill_the_process_of(folder: Path, process: subprocess.Popen[str]) -> None:
    """Of a point that has a checkpoint. It names itself by what Ray runs in it; the younger ones are idle."""
    deadline = time.monotonic() + 240
    while not (folder / "last.ckpt").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    (worker,) = (
        one
        for one in psutil.Process(process.pid).children(recursive=True)
        if "run_point" in one.name() + "".join(one.cmdline())
    )
    worker.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(("max_retries", "becomes"), [(1, "done"), (0, "failed")])
def test_a_dead_process(max_retries: int, becomes: str, tmp_path: Path) -> None:
    long = ["recipe.steps=200", "callbacks.last.every_n_steps=20"]
    # With all processors each.
    one_at_a_time = f"hydra.launcher.num_cpus={psutil.cpu_count()}"
    process = start(*RAY, *long, "seed=1,2", one_at_a_time, f"hydra.launcher.max_retries={max_retries}", cwd=tmp_path)
    kill_the_process_of(tmp_path / "sweep" / "seed=1", process)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == (becomes == "failed"), output
    assert state(tmp_path / "sweep" / "seed=1") == becomes and state(tmp_path / "sweep" / "seed=2") == "done"
    if becomes == "done":
        assert "going on from batch" in output
    else:
        assert points(tmp_path / "sweep")["1"]["problem"].startswith("its process on Ray died")


def test_optuna_on_ray(tmp_path: Path) -> None:
    run(*RAY, "sweep=optuna", LR, "hydra.sweeper.n_trials=3", "hydra.sweeper.workers=2", cwd=tmp_path)
    assert len(list((tmp_path / "sweep").glob("trial_*/last.ckpt"))) == 3
