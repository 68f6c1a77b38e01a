"""sweep=optuna: what Hydra's words mean to it, what it does with points, and that a killed study goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from test_sweep import SHORT
from test_train import CPU_DDP, REPOSITORY, run, start

from hific.cli.optuna_options import OptunaOptions
from hific.cli.search_space import SearchSpace
from hific.cli.sweep import Sweep
from hific.errors import OptionError

DEFAULTS = OmegaConf.load(REPOSITORY / "conf" / "hydra" / "sweeper" / "optuna.yaml")
LR = "recipe.optimizer.lr=tag(log,interval(1e-4,1e-2))"
SWEEP = ["-m", "sweep=optuna", *SHORT, "test=false", "hydra.sweep.dir=sweep"]


def space(*overrides: str) -> SearchSpace:
    return SearchSpace.of(OverridesParser.create().parse_overrides(list(overrides)))


def points(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder}/study.db")


@pytest.mark.parametrize(
    ("override", "distribution"),
    [
        ("a.b=interval(1e-4,1e-3)", FloatDistribution(1e-4, 1e-3)),
        ("a.b=tag(log, interval(1e-4,1e-3))", FloatDistribution(1e-4, 1e-3, log=True)),
        ("a.b=int(interval(1,4))", IntDistribution(1, 4)),
        ("a.b=range(4,17,4)", IntDistribution(4, 16, step=4)),
        ("a.b=range(1,4)", IntDistribution(1, 3)),
        ("a.b=range(0,1,.5)", CategoricalDistribution(("0.0", "0.5"))),
        ("a=x,y,x", CategoricalDistribution(("x", "y"))),
        ("+a=choice([1,2],[3])", CategoricalDistribution(("[1,2]", "[3]"))),
    ],
)
def test_words_of_hydra(override: str, distribution: BaseDistribution) -> None:
    found = space(override, "seed=1")
    assert list(found.open.values()) == [distribution] and found.fixed == ["seed=1"]
    (name,) = found.open
    drawn = found.point(optuna.create_study().ask())
    assert drawn[0] == "seed=1" and drawn[1].startswith(f"{name}=") and name == override.split("=")[0]


def test_ends_and_choices_are_composed_before_the_first_point() -> None:
    found = space("a=x,y,z", "b=int(interval(1,2))", "c=3")
    assert found.corners() == [["c=3", "a=x", "b=1"], ["c=3", "a=y", "b=2"], ["c=3", "a=z", "b=2"]]


@pytest.mark.parametrize("override", ["a=interval(2,1)", "a=range(3,3)", "a=tag(log,interval(0,1))", "a=1"])
def test_what_cannot_be_searched_is_named(override: str) -> None:
    with pytest.raises(OptionError, match=r"^a=|nothing to search"):
        space(override)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"n_trials": 0}, "n_trials=0 must be 1 or more"),
        ({"n_trials": "many"}, "n_trials=many is not a whole number"),
        ({"sampler": "best"}, "sampler=best is none of tpe, random"),
        ({"pruner": "mean"}, "pruner=mean is none of none, median"),
        ({"pruner_options": {"warmup": 3}, "pruner": "median"}, "pruner_options: .*warmup"),
        ({"direction": "down"}, "direction=down is none of minimize, maximize"),
        ({"metric": ["a", "b"]}, "direction has 1 for 2"),
        (
            {"metric": ["a", "b"], "direction": ["minimize"] * 2, "pruner": "median"},
            "pruner=median: .*by one metric alone",
        ),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=rf"^hydra\.sweeper\.{told}"):
        OptunaOptions.of(OmegaConf.merge(DEFAULTS, options))  # type: ignore[arg-type]


def test_with_a_seed_a_study_that_goes_on_draws_other_points() -> None:
    options = OptunaOptions.of(OmegaConf.merge(DEFAULTS, {"seed": 3, "sampler": "random"}))  # type: ignore[arg-type]
    drawn = [
        space("a=interval(0,1)").point(optuna.create_study(sampler=options.make_sampler(n)).ask()) for n in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(("option", "extra"), [("sweep=optuna", "optuna"), ("launcher=ray", "ray")])
def test_what_is_missing_or_misplaced_is_a_line(option: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=f"{option} is of a sweep: put -m before the options"):
        Sweep.of([option, "seed=1,2"])
    sweep = Sweep.of(["-m", option, "seed=1,2"])
    assert sweep is not None and f"hydra/{option}".replace("sweep=", "sweeper=") in sweep.arguments
    monkeypatch.setattr("hific.cli.sweep.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=rf"^{option} needs what pip install 'hific\[{extra}\]' brings"):
        Sweep.of(["-m", option, "seed=1,2"])


def test_a_machine_without_slurm_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for sweep in ([], ["sweep=optuna"]):
        with pytest.raises(OptionError, match=r"^launcher=slurm: no srun here; on one machine: launcher=local"):
            Sweep.of(["-m", "launcher=slurm", *sweep, "seed=1,2"])
    (tmp_path / "srun").touch(mode=0o755)
    assert Sweep.of(["-m", "launcher=slurm", "seed=1,2"]) is not None


def test_it_is_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "one", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    output = run(*SWEEP, LR, cwd=tmp_path, status=1)
    assert output.splitlines()[-1].startswith("error: sweep=optuna is one process, not 2 ranks started by torchrun")
    assert not (tmp_path / "sweep").exists()


def test_points_are_pruned_and_fail_and_the_best_is_marked(tmp_path: Path) -> None:
    """Of a seed that cannot be, and of an objective that is a thousand times larger behind the usual one."""
    options = ["hydra.sweeper.sampler=brute", "hydra.sweeper.seed=37", "hydra.sweeper.n_trials=3"]
    options += ["hydra.sweeper.pruner=median", "hydra.sweeper.pruner_options={n_startup_trials: 1}"]
    output = run(*SWEEP, *options, "recipe.mse_weight=30,30000", "seed=5000000000,1", cwd=tmp_path, status=1)
    assert "error: 1 of the sweep's points failed\n" in output
    failed, usual, pruned = sorted(points(tmp_path / "sweep"), key=lambda line: line["state"] == "pruned")
    assert failed["state"] == "failed" and "seed=5000000000 must be in" in failed["problem"]
    assert usual["state"] == "done" and usual["best"] == "*" and usual["recipe.mse_weight"] == "30"
    assert pruned["state"] == "pruned" and pruned["best"] == "" and float(pruned["val/psnr"]) > 0
    states = [one.state for one in study(tmp_path / "sweep").trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.PRUNED]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["launcher=local"]], ids=["here", "local"])
def test_a_pruned_point_ends_on_both_of_its_ranks(launcher: list[str], tmp_path: Path) -> None:
    """One after another in this process, and as jobs of Submitit's local executor, which stands in for SLURM's."""
    options = ["hydra.sweeper.sampler=brute", "hydra.sweeper.seed=5", "hydra.sweeper.n_trials=2"]
    options += ["hydra.sweeper.pruner=median", "hydra.sweeper.pruner_options={n_startup_trials: 1}"]
    options += [*CPU_DDP, "context_model=none", "recipe.steps=8", "recipe.val_check_interval=4"]
    run(*SWEEP, *options, *launcher, "recipe.mse_weight=30,30000", cwd=tmp_path)
    folder = tmp_path / "sweep"
    assert [(line["recipe.mse_weight"], line["state"]) for line in points(folder)] == [
        ("30", "done"),
        ("30000", "pruned"),
    ]
    assert [one.state for one in study(folder).trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    for name, pruned in (("trial_0000", False), ("trial_0001", True)):
        for rank in ("train", "train_ddp_process_1"):
            assert ("pruned after 4 batches" in (folder / name / f"{rank}.log").read_text()) == pruned
    assert len(list(folder.rglob("multirun.yaml"))) == 1  # the first rank alone writes


@pytest.mark.slow
def test_pareto_front_of_two_metrics_and_a_wrong_one(tmp_path: Path) -> None:
    two = ["hydra.sweeper.metric=[val/psnr,val/objective]", "hydra.sweeper.direction=[minimize,minimize]"]
    output = run(*SWEEP, *two, LR, "hydra.sweeper.n_trials=3", "hydra.sweeper.seed=1", cwd=tmp_path)
    assert "| best |" in output
    best = json.loads((tmp_path / "sweep" / "study.json").read_text())["best"]
    values = [[float(line["val/psnr"]), float(line["val/objective"])] for line in points(tmp_path / "sweep")]
    front = [
        f"trial_{number:04d}"
        for number, one in enumerate(values)
        if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in values)
    ]
    assert best == front
    wrong = [*SWEEP[:-1], "hydra.sweep.dir=other", LR, "hydra.sweeper.n_trials=2"]
    output = run(*wrong, "hydra.sweeper.metric=val/nothing", cwd=tmp_path, status=1)
    assert output.splitlines()[-1].startswith("error: hydra.sweeper.metric=val/nothing is none of ")
    output = run(*SWEEP, *two, "seed=1,2", cwd=tmp_path, status=1)
    assert "has searched recipe.optimizer.lr otherwise" in output
    output = run(*SWEEP, LR, cwd=tmp_path, status=1)
    assert "is of val/psnr val/objective minimize minimize, not of val/objective minimize" in output


@pytest.mark.slow
def test_a_killed_study_goes_on_with_several_workers(tmp_path: Path) -> None:
    """What ran is tried again, in the same folder, from its checkpoint."""
    options = [*SWEEP, LR, "hydra.sweeper.n_trials=4", "hydra.sweeper.workers=2", "hydra.sweeper.heartbeat=5"]
    options += ["launcher=processes", "recipe.steps=200", "callbacks.last.every_n_steps=20"]
    process = start(*options, cwd=tmp_path)
    folder = tmp_path / "sweep"
    deadline = time.monotonic() + 240
    while len(list(folder.glob("*/last.ckpt"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    ran = {path.parent.name for path in folder.glob("*/last.ckpt")}
    assert len(ran) == 2 and {one.state for one in study(folder).trials} == {TrialState.RUNNING}
    time.sleep(11)  # two heartbeats
    output = run(*options, cwd=tmp_path)
    assert "going on from batch" in output
    assert len(list(folder.glob("*/run.json"))) == 4 and ran < {path.name for path in folder.iterdir()}
    assert {line["state"] for line in points(folder)} == {"done"}
    states = [one.state for one in study(folder).trials]
    assert states.count(TrialState.COMPLETE) == 4 and states.count(TrialState.FAIL) == 2
    run(*options, cwd=tmp_path)  # there is nothing left to do
    assert len(study(folder).trials) == len(states)
