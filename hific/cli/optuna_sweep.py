"""`sweep=optuna`: Optuna chooses the points of a sweep, and ends those that others have left behind.

    this process: study ─ ask ─ launcher ─> a run in SWEEP/trial_0007, as any point's ─ run.json ─> tell
                    └ study.db <─ validations, "may I go on?" ─┘

A trial is a point: it fails, is stopped and goes on as in any sweep. What is killed with this process, or dies alone,
is tried again in the same folder (`retries`), where its checkpoint is. The same command goes on with the study, and on
another machine works at it too.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import optuna
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from hific.cli import INTERRUPTED
from hific.cli.hydra_app import one_line, started_ranks
from hific.cli.optuna_options import OptunaOptions
from hific.cli.run_folder import ASIDE, STEPS, Run, read_run, record_failure
from hific.cli.search_space import SearchSpace
from hific.cli.sweep import STUDY
from hific.errors import OptionError, in_a_line
from hific.io.write_whole import write_whole
from hific.training.pruning import Report

log = logging.getLogger(__name__)
# Attributes of trials and of the study.
FOLDER, METRICS, FIXED = "folder", "metrics", "fixed"


class _NotDoneError(Exception):
    """Of a point; the study goes on."""


def open_study(options: OptunaOptions, sweep: Path, *, create: bool) -> optuna.Study:
    """Raises OptionError where its storage cannot be opened, or it is one of other metrics."""
    url = options.storage or f"sqlite:///{sweep.resolve()}/study.db"
    name = options.study or sweep.resolve().name
    retry = RetryHeartbeatStaleTrialCallback(options.retries, inherit_intermediate_values=True)
    try:
        storage = RDBStorage(
            url, heartbeat_interval=options.heartbeat if create else None, heartbeat_stale_trial_callback=retry
        )
        if not create:
            return optuna.load_study(study_name=name, storage=storage, pruner=options.make_pruner())
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=options.directions,  # type: ignore[arg-type]
            pruner=options.make_pruner(),
            load_if_exists=True,
        )
    except Exception as error:  # of SQLAlchemy, and of whichever library the URL is for
        raise OptionError(f"hydra.sweeper.storage: cannot be opened ({in_a_line(error)})") from error
    there = [*study.user_attrs.get(METRICS, options.metrics), *(one.name.lower() for one in study.directions)]
    here = [*options.metrics, *options.directions]
    if there != here:
        raise OptionError(
            f"the study {name} is of {' '.join(there)}, not of {' '.join(here)}: another hydra.sweep.dir or "
            "hydra.sweeper.study"
        )
    study.set_user_attr(METRICS, list(options.metrics))
    study.sampler = options.make_sampler(len(study.get_trials(deepcopy=False)))
    return study


class OptunaSweep:
    """Of the sweeper plugin."""

    def __init__(self, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config
        self._sweep = Path(config.hydra.sweep.dir)
        self._options = OptunaOptions.of(config.hydra.sweeper)
        self._lock = threading.Lock()
        self._interrupted = False

    def run(self, arguments: Sequence[str], check: Callable[[Sequence[Sequence[str]]], None]) -> None:
        """Until the study has its points. check: raises HydraException where points cannot be composed."""
        if started := started_ranks():
            raise OptionError(f"sweep=optuna is one process, not {started}: trainer.devices=N starts a point's ranks")
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # points tell for themselves
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        self._options.check_launcher(self._config.hydra.launcher)
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        self._space = SearchSpace.of(parser.parse_overrides(list(arguments)))
        try:
            check(self._space.corners())
        except HydraException as error:
            raise OptionError(one_line(error) or in_a_line(error)) from error
        self._launcher()  # what is wrong with its options is told now
        self._sweep.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, self._sweep / "multirun.yaml")
        study = open_study(self._options, self._sweep, create=True)
        _check_same_space(study, self._space)
        self._describe(study)
        try:
            self._optimize(study)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def _optimize(self, study: optuna.Study) -> None:
        began, options = time.monotonic(), self._options
        while True:
            left = None if options.timeout is None else options.timeout - (time.monotonic() - began)
            if left is not None and left <= 0:
                return
            fail_stale_trials(study)
            if (due := self._due(study)) > 0:
                study.optimize(
                    self._run_trial,
                    n_trials=due,
                    n_jobs=options.workers,
                    timeout=left,
                    catch=(_NotDoneError,),
                    callbacks=[self._after_trial],
                )
            elif any(one.state == TrialState.RUNNING for one in study.get_trials(deepcopy=False)):
                # By another process of this study, or by one that is dead and will be found stale.
                time.sleep(min(options.heartbeat, left or options.heartbeat))
            else:
                return

    def _due(self, study: optuna.Study) -> int:
        """Points to begin: those that are to be tried again, and new ones."""
        trials = study.get_trials(deepcopy=False)
        waiting = sum(one.state == TrialState.WAITING for one in trials)
        return waiting + max(0, self._options.n_trials - len({_folder(one) for one in trials}))

    def _after_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._describe(study)
        if self._interrupted or self._due(study) <= 0:
            study.stop()

    def _run_trial(self, trial: optuna.Trial) -> Sequence[float]:
        """The objective: a point by the launcher, and what stands in its folder then."""
        folder = trial.user_attrs.get(FOLDER) or f"trial_{trial.number:04d}"
        trial.set_user_attr(FOLDER, folder)
        overrides = self._space.point(trial)
        launcher = self._launcher()
        problem = "its process died"
        try:
            launcher.launch([[*overrides, f"hydra.sweep.subdir={folder}"]], initial_job_idx=trial.number)
        except (KeyboardInterrupt, SystemExit) as stop:
            self._interrupted = True
            self._again(trial, retries=None)
            raise KeyboardInterrupt from stop
        except Exception as error:  # of the launcher's library
            problem = f"{problem}: {in_a_line(error)}"
        run = read_run(self._sweep / folder)
        if run is None or run.state == "running":  # so that it is listed, if it is not tried again
            log.error("%s: %s", folder, problem)
            record_failure(self._sweep / folder, overrides, problem)
        return self._values(trial, run, problem)

    def _launcher(self) -> Launcher:
        return Plugins.instance().instantiate_launcher(
            hydra_context=self._context, task_function=self._task, config=self._config
        )

    def _values(self, trial: optuna.Trial, run: Run | None, problem: str) -> Sequence[float]:
        if run is None or run.state in ("running", "interrupted"):
            self._again(trial, retries=self._options.retries)
            raise _NotDoneError(problem)
        if run.state == "pruned":
            raise optuna.TrialPruned
        if run.state == "failed":
            raise _NotDoneError(run.problem)
        if missing := [name for name in self._options.metrics if name not in run.metrics]:
            # Once for all: the point is done, and is asked for again with another metric.
            self._again(trial, retries=None)
            raise OptionError(f"hydra.sweeper.metric={missing[0]} is none of {', '.join(sorted(run.metrics))}")
        return [run.metrics[name] for name in self._options.metrics]

    def _again(self, trial: optuna.Trial, retries: int | None) -> None:
        frozen = trial.study.get_trials(deepcopy=True)[trial.number]
        RetryHeartbeatStaleTrialCallback(retries, inherit_intermediate_values=True)(trial.study, frozen)

    def _describe(self, study: optuna.Study) -> None:
        """study.json, from which the summary knows which points are the best."""
        facts = {
            "study": study.study_name,
            "metric": list(self._options.metrics),
            "direction": list(self._options.directions),
            "best": sorted(_folder(one) for one in study.best_trials),
        }
        with self._lock:
            write_whole(self._sweep / STUDY, json.dumps(facts, indent=1) + "\n")


def report_of_trial() -> Report | None:
    """How the first rank of a trial asks its study; None where Optuna ends none on the way."""
    hydra = HydraConfig.get()
    options = OptunaOptions.of(hydra.sweeper)
    if len(options.metrics) > 1:  # it compares by one alone
        return None
    warnings.simplefilter("ignore", ExperimentalWarning)
    study = open_study(options, Path(hydra.sweep.dir), create=False)
    frozen = study.get_trials(deepcopy=False)[hydra.job.num]
    trial = optuna.Trial(study, frozen._trial_id)
    reported = set(frozen.intermediate_values)

    def report(metrics: Mapping[str, float], step: int) -> bool:
        value = metrics.get(options.metrics[0])
        if value is None:
            return False
        if step not in reported:
            trial.report(value, step)
        return trial.should_prune()

    return report


def _folder(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(FOLDER, trial.number))


def _check_same_space(study: optuna.Study, space: SearchSpace) -> None:
    """OptionError where the study has trials of other options."""
    fixed = sorted(one for one in space.fixed if one.lstrip("+~").partition("=")[0] not in STEPS and not _is_aside(one))
    before = study.user_attrs.get(FIXED, fixed)
    different = sorted(set(before) ^ set(fixed))
    if different:
        raise OptionError(
            f"the study {study.study_name} has trials of other options ({different[0]}): repeat its options, or take "
            "another hydra.sweep.dir"
        )
    study.set_user_attr(FIXED, fixed)
    for trial in study.get_trials(deepcopy=False):
        for name, there in trial.distributions.items():
            try:
                check_distribution_compatibility(there, space.open[name])
            except (ValueError, KeyError) as error:
                raise OptionError(
                    f"the study {study.study_name} has searched {name} otherwise: take another hydra.sweep.dir"
                ) from error


def _is_aside(override: str) -> bool:
    return override.lstrip("+~").partition("=")[0].partition(".")[0] in ASIDE
