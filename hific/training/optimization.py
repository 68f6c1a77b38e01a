"""How the auto-encoder's weights are moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hific.errors import OptionError
from hific.training.schedule import Schedule

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


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
                f"gradient_clip={self.gradient_clip} and hyperprior_lr_factor={self.hyperprior_lr_factor} are above 0"
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

    def make(self, groups: list[dict[str, Any]]) -> Optimizer:
        """The optimizer of the auto-encoder."""
        return self.optimizer(groups)  # type: ignore[arg-type]
