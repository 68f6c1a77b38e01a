"""How weights move: schedules over shares of a training, optimizers, stages, averages, and numbers that are none."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hific.errors import NonFiniteError, OptionError
from hific.ops.ranks import mean_over_ranks


class Schedule(Protocol):
    """`progress` in [0, 1) to the factor on the base learning rate."""

    def __call__(self, progress: float) -> float: ...


@dataclass(frozen=True)
class CosineSchedule:
    """Rises linearly over the first `warmup` share, then falls along half a cosine to `floor`."""

    warmup: float = 0.02
    floor: float = 0.01

    def __call__(self, progress: float) -> float:
        rise = min(1.0, (progress + 1e-4) / self.warmup) if self.warmup > 0 else 1.0
        return rise * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass(frozen=True)
class HalvingSchedule:
    """Halves `times` times at equal distances (compressnet, section 4.1: a scheduler with decay .5); 0 is constant."""

    times: int = 4

    def __call__(self, progress: float) -> float:
        return 0.5 ** min(self.times, int(progress * (self.times + 1)))


@dataclass(frozen=True)
class StepSchedule:
    """Constant, then times `factor` from the share `at` of the training (or stage) on: HiFiC's x0.1 at one half."""

    at: float = 0.5
    factor: float = 0.1

    def __call__(self, progress: float) -> float:
        return self.factor if progress >= self.at else 1.0


OptimizerFactory = Callable[..., Optimizer]
"""Parameters, or groups of them, and arguments by name -> optimizer."""


@dataclass(frozen=True)
class Optimization:
    """One step of the auto-encoder, and the learning rates of both players.

    Args:
        optimizer: parameter groups -> optimizer.
        schedule: share of the training (or stage) that is done -> factor on all learning rates, the adversary's too.
        gradient_clip: largest norm of the gradient of the auto-encoder; infinity for none.
        hyperprior_lr_factor: of the hyperprior's learning rate, where there is one: what is coded changes faster than
            it follows.
    """

    optimizer: OptimizerFactory
    schedule: Schedule
    gradient_clip: float = math.inf
    hyperprior_lr_factor: float = 1.0

    def __post_init__(self) -> None:
        if not self.gradient_clip > 0 or not self.hyperprior_lr_factor > 0:
            raise OptionError(
                f"gradient_clip={self.gradient_clip} and hyperprior_lr_factor={self.hyperprior_lr_factor} must be "
                "above 0"
            )

    def set_learning_rates(self, optimizers: Sequence[Optimizer], progress: float) -> None:
        """To the schedule's share of what the optimizers were made with; a group's `lr_factor` multiplies it."""
        factor = self.schedule(progress)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * factor * group.get("lr_factor", 1.0)

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Clips the gradients in place; returns their norm before that."""
        return torch.nn.utils.clip_grad_norm_(parameters, self.gradient_clip)

    def make(self, groups: list[dict[str, Any]], **arguments: Any) -> Optimizer:
        """The optimizer of the auto-encoder; `arguments` of its constructor besides those it comes with."""
        return self.optimizer(groups, **arguments)


def check_finite(terms: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
    """The terms' means over ranks, without gradient; one synchronization for all of them.

    Raises NonFiniteError, on all ranks where one has a bad value, before an optimizer can spread it into the weights.
    """
    if not terms:
        return {}
    values = mean_over_ranks(torch.stack([term.detach().float() for term in terms.values()]))
    finite = torch.isfinite(values).tolist()
    if not all(finite):
        bad = [f"{name} = {value}" for name, value, ok in zip(terms, values.tolist(), finite, strict=True) if not ok]
        raise NonFiniteError(
            f"at step {step}: {', '.join(bad)}. The weights are still those of the last good step; the last checkpoint "
            "is usable. A lower recipe.learning_rate or recipe.gradient_clip usually helps."
        )
    return dict(zip(terms, values, strict=True))


class ExponentialAverage(nn.Module):
    """Keeps `average`, a copy of a network that follows it: average += (1 - decay) (network - average) after each step.

    Registered, so that its weights are saved, resumed and moved; it has no gradients and no optimizer touches it.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 < decay < 1:
            raise OptionError(f"ema_decay={decay} must be in [0, 1); 0 is for none")
        self.decay = decay
        self.average = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        for mine, its in zip(self.average.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(its, 1 - self.decay)
            else:
                mine.copy_(its)

    def restart(self, network: nn.Module) -> None:
        """Equal to the network as it is now."""
        self.average.load_state_dict(network.state_dict())


@dataclass(frozen=True)
class Stages:
    """How many batches each takes, without and with the adversary; 0 leaves one out."""

    stage1_steps: int
    stage2_steps: int

    def __post_init__(self) -> None:
        given = f"stage1_steps={self.stage1_steps} and stage2_steps={self.stage2_steps}"
        if min(self.stage1_steps, self.stage2_steps) < 0:
            raise OptionError(f"{given} must be 0 or more")
        if self.total == 0:
            raise OptionError(f"{given} leave nothing to train")

    @property
    def total(self) -> int:
        return self.stage1_steps + self.stage2_steps

    def number(self, step: int) -> int:
        """1 or 2: which the batch belongs to."""
        return 1 if step < self.stage1_steps else 2

    def progress(self, step: int) -> float:
        """Share of its stage that is done; never reaches 1 in it."""
        if step < self.stage1_steps:
            return step / self.stage1_steps
        return min((step - self.stage1_steps) / max(1, self.stage2_steps), 1.0)

    def learned_in_last(self, step: int) -> bool:
        """Whether weights after so many batches are the last stage's: what stages aim at cannot be compared."""
        return self.stage2_steps == 0 or step > self.stage1_steps
