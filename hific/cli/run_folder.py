"""One run, one folder: what it is made of and how far it came, so that the same command again does what is missing.

    run.json, beside last.ckpt: state (running, done, pruned, interrupted, failed), options, metrics, seconds, problem

With `resume=auto`, and in a sweep always, a folder whose run is done is left as it is, and one whose run was stopped or
killed goes on from its last.ckpt. What fails in a sweep does not end it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from hific.cli.train_options import check_options
from hific.errors import HificError, OptionError, in_a_line
from hific.io.write_whole import write_whole

log = logging.getLogger(__name__)
RUN = "run.json"
State = Literal["running", "done", "pruned", "interrupted", "failed"]
# What is told, logged or seen on the way, and where the run lies.
ASIDE = (
    "output_dir",
    "resume",
    "ckpt_path",
    "test",
    "logger",
    "callbacks",
    "trainer",
    "speed",
    "weights",
    "training_info",
)
# May grow: the run then goes on.
STEPS = ("recipe.steps", "recipe.stage1_steps", "recipe.stage2_steps")
_ELSEWHERE = "RUN"


@dataclass(frozen=True)
class Outcome:
    """Of a run. metrics: the last value of every logged one; state: `interrupted` by a signal before its last batch,
    `pruned` where others of a sweep have left it behind."""

    metrics: Mapping[str, float]
    state: Literal["done", "interrupted", "pruned"] = "done"


@dataclass(frozen=True)
class Run:
    """What run.json has. options: all that decide the result, by their full names; seconds: of all attempts."""

    state: State
    options: Mapping[str, Any]
    overrides: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""


def is_point() -> bool:
    """Whether this run is one of a sweep."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def is_first_rank() -> bool:
    """Of this process, also where it has no trainer yet."""
    from lightning.pytorch.utilities import rank_zero_only  # seconds, which a wrong option need not wait for

    return not getattr(rank_zero_only, "rank", 0)


def run_in_folder(config: DictConfig, train: Callable[[DictConfig], Outcome]) -> Outcome:
    """`train(config)`, or what is left of it. Raises OptionError where the folder has a run of other options."""
    if not is_point():
        check_options(config)
        if config.resume is None:
            return _recorded(config, train, _options(config), None)
        return _missing_part(config, train)
    try:
        check_options(config)
        return _missing_part(config, train)
    except HificError as error:
        log.error("failed: %s", error)
        problem = in_a_line(error)
    except Exception as error:
        log.exception("failed:")
        problem = in_a_line(error)
    record_failure(Path(config.output_dir), _overrides(), problem)
    return Outcome({})


def record_failure(folder: Path, overrides: Sequence[str], problem: str) -> None:
    """On the first rank."""
    before = read_run(folder) or Run("failed", {}, tuple(overrides))
    _write(folder, replace(before, state="failed", problem=problem))


def read_run(folder: Path) -> Run | None:
    """None where there is none, or what is there cannot be read."""
    try:
        found = json.loads((folder / RUN).read_text())
        return Run(**{**found, "overrides": tuple(found["overrides"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _missing_part(config: DictConfig, train: Callable[[DictConfig], Outcome]) -> Outcome:
    folder = Path(config.output_dir)
    before, options = read_run(folder), _options(config)
    longer = False
    if before is not None:
        different = _different(before.options, options)
        if others := [name for name in different if name not in STEPS]:
            there, here = before.options.get(others[0]), options.get(others[0])
            raise OptionError(
                f"{folder} has a run of other options ({others[0]} {there} there, {here} here): repeat its options, "
                "or choose another folder by hydra.run.dir=, in a sweep hydra.sweep.dir="
            )
        longer = bool(different)
        if before.state == "done" and not longer:
            log.info("%s is done already", folder)
            return Outcome(before.metrics)
    from hific.training.beginnings import checkpoint_to_resume

    checkpoint = None if config.base_checkpoint is not None else checkpoint_to_resume(folder)
    if checkpoint is not None:
        with open_dict(config):
            # It has what it began with behind it.
            config.resume, config.ckpt_path, config.init_from = "auto", str(checkpoint), None
    return _recorded(config, train, options, before)


def _recorded(
    config: DictConfig, train: Callable[[DictConfig], Outcome], options: Mapping[str, Any], before: Run | None
) -> Outcome:
    """options: as asked for, before a checkpoint took the place of `init_from`; before: the attempt that goes on, whose
    seconds and metrics count too."""
    folder, began = Path(config.output_dir), time.monotonic()
    known = (before.metrics, before.seconds) if before is not None else ({}, 0.0)
    run = Run("running", options, _overrides(), *known)
    _write(folder, run)
    state: State = "failed"
    outcome, problem = Outcome({}), ""
    try:
        outcome = train(config)
        state = outcome.state
    except Exception as error:
        problem = in_a_line(error)
        raise
    except BaseException:
        state = "interrupted"
        raise
    finally:
        seconds, metrics = run.seconds + time.monotonic() - began, {**run.metrics, **outcome.metrics}
        _write(folder, replace(run, state=state, metrics=metrics, seconds=seconds, problem=problem))
    return outcome


def _write(folder: Path, run: Run) -> None:
    if is_first_rank():
        write_whole(folder / RUN, json.dumps(asdict(run), indent=1) + "\n")


def _overrides() -> tuple[str, ...]:
    return tuple(HydraConfig.get().overrides.task) if HydraConfig.initialized() else ()


def _options(config: DictConfig) -> dict[str, Any]:
    """By full names, as JSON has them, the same wherever the run lies."""
    moved = copy(config)
    moved.output_dir = _ELSEWHERE
    plain = OmegaConf.to_container(moved, resolve=True)
    assert isinstance(plain, dict)
    flat = _flat({name: value for name, value in plain.items() if name not in ASIDE})
    found: dict[str, Any] = json.loads(json.dumps(flat))
    return found


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    parts = (_flat(inner, f"{name}.{key}" if name else str(key)) for key, inner in value.items())
    return {key: leaf for part in parts for key, leaf in part.items()}


def _different(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Names, the ones that a person sets first."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    return sorted(names, key=lambda name: (not name.startswith("recipe."), name))
