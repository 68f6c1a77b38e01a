"""The rate weight that holds a target (Mentzer et al. 2020, section 3.2; hific_xgboost, section 3.2).

The paper has two weights, and which is in force says the side of the target that the rate is on. `integral` has one
that moves until the rate stays: as strong as the target asks for, no stronger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hific.errors import OptionError

WEIGHTS_AVERAGED = 200  # batches, exponentially
LEARNED = ("average_bpp", "log_weight", "average_weight")


@dataclass(eq=False)
class RateTarget:
    """lambda' of the loss: heavy while the rate is above its target, light below it.

    Args:
        target_bpp: r_t.
        lambda_a, lambda_b: weights of the estimated bpp above and below the target; lambda_b is 2^-4 in the paper (one
            public release computes to 2^-6).
        warmup: share of the stage in which the target is `warmup_target` times as high and the weight
            `warmup_weight` times as large: the networks find structure before they must save.
        averaged_over: batches that the rate is averaged over (exponentially) before it is compared with the target; 1
            is the paper's. Of two crops a batch, one is far above the target and the next far below it: decided batch
            by batch, it is the share of batches above that settles, and the mean misses the target.
        integral: of a controller (proportional and integral, on logarithms) whose weight lies in lambda_b..lambda_a:
            how much of the average's log-distance from the target each batch adds to the log-weight; 0 is the paper's
            two weights.
        enabled: False weighs the rate by `lambda_a` always, as before this idea (an ablation).
    """

    target_bpp: float
    lambda_a: float
    lambda_b: float = 2**-4
    warmup: float = 0.05
    warmup_target: float = 1.43
    warmup_weight: float = 0.5
    averaged_over: int = 1
    integral: float = 0.0
    enabled: bool = True
    average_bpp: Tensor | None = field(init=False, default=None)
    log_weight: Tensor | None = field(init=False, default=None)  # of the integral part
    average_weight: Tensor | None = field(init=False, default=None)  # what a bit per pixel was worth of late

    def __post_init__(self) -> None:
        if not 0 < self.lambda_b <= self.lambda_a or self.target_bpp <= 0:
            given = f"{self.lambda_b}, {self.lambda_a}, {self.target_bpp}"
            raise OptionError(f"0 < lambda_b <= lambda_a and target_bpp > 0 are due: {given}")
        if self.averaged_over < 1:
            raise OptionError(f"averaged_over={self.averaged_over} must be a number of batches, 1 or more")
        if not 0 <= self.integral <= 1:
            raise OptionError(f"integral={self.integral} must be in 0..1")

    def state_dict(self) -> dict[str, Tensor | None]:
        """What it has learned of a training, for its checkpoint."""
        return {name: getattr(self, name) for name in LEARNED}

    def load_state_dict(self, state: Mapping[str, Tensor | None]) -> None:
        """Of `state_dict`; what is missing starts anew."""
        for name in LEARNED:
            setattr(self, name, state.get(name))

    def target(self, progress: float) -> float:
        """Bits per pixel that are aimed at when a share `progress` of the stage is done."""
        return self.target_bpp * (self.warmup_target if progress < self.warmup else 1.0)

    def weight(self, quantized_bpp: Tensor, progress: float) -> Tensor:
        """The weight of the noisy estimated bpp, a scalar without gradient, for the next batch of a training.

        quantized_bpp: estimated bpp of the rounded latents of the whole batch, of all ranks. Goes into `average_bpp`.
        """
        rate = quantized_bpp.detach()
        before = rate if self.average_bpp is None else self.average_bpp.to(rate)
        self.average_bpp = rate = torch.lerp(before, rate, 1 / self.averaged_over)
        if not self.enabled:
            weight = torch.full_like(rate, self.lambda_a)
        elif self.integral:
            weight = self._controlled(rate, self.target(progress))
        else:
            weight = torch.where(rate > self.target(progress), self.lambda_a, self.lambda_b).to(rate)
        weight = weight * (self.warmup_weight if progress < self.warmup else 1.0)
        before = weight if self.average_weight is None else self.average_weight.to(weight)
        self.average_weight = torch.lerp(before, weight, 1 / WEIGHTS_AVERAGED)
        return weight

    def _controlled(self, rate: Tensor, target: float) -> Tensor:
        lowest, highest = math.log(self.lambda_b), math.log(self.lambda_a)
        start = torch.full_like(rate, (lowest + highest) / 2)
        distance = torch.log(rate / target)
        before = start if self.log_weight is None else self.log_weight.to(rate)
        self.log_weight = (before + self.integral * distance).clamp(lowest, highest)
        return (self.log_weight + distance).clamp(lowest, highest).exp()
