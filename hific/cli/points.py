"""A point of a sweep as its launcher sees it, from outside its process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import filter_overrides
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from hific.cli.run_folder import State, read_run, record_failure

log = logging.getLogger(__name__)


def compose_point(context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int) -> DictConfig:
    """config: of the sweep."""
    composed = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
        composed.hydra.job.num = number
    return composed


def record_death(point: DictConfig, overrides: Sequence[str], problem: str, said: Sequence[State] = ("done",)) -> None:
    """A failed run in its folder, unless it has said otherwise itself."""
    sweep = point.hydra.sweep
    folder = Path(sweep.dir, sweep.subdir)
    if (run := read_run(folder)) is not None and run.state in said:
        return
    log.error("%s: %s", sweep.subdir, problem)
    record_failure(folder, filter_overrides(overrides), problem)
