"""The options of `sweep=optuna` (conf/hydra/sweeper/optuna.yaml), and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import optuna
from omegaconf import DictConfig, OmegaConf
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from hific.cli.train_options import check_value
from hific.errors import OptionError, in_a_line

SAMPLERS = {
    "tpe": "TPESampler",
    "random": "RandomSampler",
    "qmc": "QMCSampler",
    "gp": "GPSampler",
    "nsga2": "NSGAIISampler",
    "brute": "BruteForceSampler",
}
PRUNERS = {
    "none": "NopPruner",
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
}
DIRECTIONS = ("minimize", "maximize")
# Launchers whose points are not in this process.
SEVERAL = ("processes", "local", "slurm", "ray")


@dataclass(frozen=True)
class OptunaOptions:
    n_trials: int
    timeout: float | None
    workers: int
    metric: str | list[str]
    direction: str | list[str]
    sampler: str
    sampler_options: Mapping[str, Any] | None
    seed: int | None
    pruner: str
    pruner_options: Mapping[str, Any] | None
    storage: str | None
    study: str | None
    retries: int
    heartbeat: int

    @classmethod
    def of(cls, sweeper: DictConfig) -> OptunaOptions:
        """OptionError for a value that cannot be right."""
        plain: dict[str, Any] = OmegaConf.to_container(sweeper, resolve=True)  # type: ignore[assignment]
        hints = get_type_hints(cls)
        for one in fields(cls):
            check_value(f"hydra.sweeper.{one.name}", plain[one.name], hints[one.name])
        return cls(**{one.name: plain[one.name] for one in fields(cls)})

    def __post_init__(self) -> None:
        for name, least in (("n_trials", 1), ("workers", 1), ("heartbeat", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise OptionError(f"hydra.sweeper.{name}={getattr(self, name)} must be {least} or more")
        for name, choices in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in choices:
                raise OptionError(f"hydra.sweeper.{name}={getattr(self, name)} is none of {', '.join(choices)}")
        for one in self.directions:
            if one not in DIRECTIONS:
                raise OptionError(f"hydra.sweeper.direction={one} is none of {', '.join(DIRECTIONS)}")
        if len(self.directions) != len(self.metrics):
            raise OptionError(
                f"hydra.sweeper.direction has {len(self.directions)} for {len(self.metrics)} of hydra.sweeper.metric"
            )
        if self.pruner != "none" and len(self.metrics) > 1:
            raise OptionError(f"hydra.sweeper.pruner={self.pruner}: runs are pruned by one metric alone")
        self.make_sampler(0)
        self.make_pruner()

    @property
    def metrics(self) -> list[str]:
        return [self.metric] if isinstance(self.metric, str) else list(self.metric)

    @property
    def directions(self) -> list[str]:
        return [self.direction] if isinstance(self.direction, str) else list(self.direction)

    def make_sampler(self, num_trials: int) -> BaseSampler:
        """num_trials: that there are already, by which a study that goes on draws others with its seed."""
        options = dict(self.sampler_options or {})
        if self.seed is not None:
            options["seed"] = self.seed + num_trials
        sampler: BaseSampler = _made("sampler", getattr(optuna.samplers, SAMPLERS[self.sampler]), options)
        return sampler

    def make_pruner(self) -> BasePruner:
        pruner: BasePruner = _made("pruner", getattr(optuna.pruners, PRUNERS[self.pruner]), self.pruner_options or {})
        return pruner

    def check_launcher(self, launcher: DictConfig) -> None:
        """OptionError for several workers in one process."""
        if self.workers > 1 and str(launcher["_target_"]).endswith("BasicLauncher"):
            raise OptionError(
                f"hydra.sweeper.workers={self.workers} needs a launcher of several: launcher={'|'.join(SEVERAL)}"
            )


def _made(what: str, kind: type, options: Mapping[str, Any]) -> Any:
    try:
        return kind(**options)
    except (TypeError, ValueError, ImportError) as error:
        raise OptionError(f"hydra.sweeper.{what}_options: {in_a_line(error)}") from error
