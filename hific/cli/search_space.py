"""What a command line leaves open, as Optuna's distributions: Hydra's own words for sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hific.errors import OptionError

LOG = "log"


@dataclass(frozen=True)
class SearchSpace:
    """`open`: by option; `fixed`: NAME=VALUE of all points."""

    open: Mapping[str, BaseDistribution]
    fixed: Sequence[str]

    @classmethod
    def of(cls, overrides: Sequence[Override]) -> SearchSpace:
        """OptionError where nothing is open, or a range is empty."""
        free = {one.get_key_element(): distribution_of(one) for one in overrides if one.is_sweep_override()}
        if not free:
            raise OptionError(
                "sweep=optuna has nothing to search: recipe.learning_rate=interval(1e-4,1e-3), model=hific,sae"
            )
        fixed = [
            f"{one.get_key_element()}={one.get_value_element_as_str()}"
            for one in overrides
            if not one.is_sweep_override() and not one.is_hydra_override()
        ]
        return cls(free, fixed)

    def point(self, trial: optuna.Trial) -> list[str]:
        """The overrides of a trial, by its sampler."""
        return [*self.fixed, *(f"{name}={_suggested(trial, name, one)}" for name, one in self.open.items())]

    def corners(self) -> list[list[str]]:
        """Points that have each choice once, and both ends of what is a number: can they be composed?"""
        values = {name: _some_of(one) for name, one in self.open.items()}
        count = max(len(some) for some in values.values())
        return [
            [*self.fixed, *(f"{name}={some[min(index, len(some) - 1)]}" for name, some in values.items())]
            for index in range(count)
        ]


def distribution_of(override: Override) -> BaseDistribution:
    value, name = override.value(), override.get_key_element()
    try:
        if isinstance(value, IntervalSweep):
            log = LOG in value.tags
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=log)
            assert value.start is not None and value.end is not None
            return FloatDistribution(float(value.start), float(value.end), log=log)
        if isinstance(value, RangeSweep) and value.step > 0 and not value.tags:
            numbers = list(value.range())
            if all(isinstance(one, int) for one in numbers):
                return IntDistribution(int(numbers[0]), int(numbers[-1]), step=int(value.step))
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except (ValueError, IndexError) as error:
        raise OptionError(f"{name}={override.get_value_string()}: {error or 'is empty'}") from error


def _suggested(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> str:
    if isinstance(distribution, FloatDistribution):
        return repr(trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log))
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return str(trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log))
    assert isinstance(distribution, CategoricalDistribution)
    return str(trial.suggest_categorical(name, distribution.choices))


def _some_of(distribution: BaseDistribution) -> list[str]:
    if isinstance(distribution, CategoricalDistribution):
        return [str(one) for one in distribution.choices]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [repr(distribution.low), repr(distribution.high)]
