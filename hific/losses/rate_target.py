"""The rate weight that holds a target (Mentzer et al. 2020, section 3.2; hific_xgboost, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from hific.ops.option_error import OptionError


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
        enabled: False weighs the rate by `lambda_a` always, as before this idea (an ablation).
    """

    def __init__(
        self,
        target_bpp: float,
        lambda_a: float,
        lambda_b: float = 2**-4,
        warmup: float = 0.05,
        warmup_target: float = 1.43,
        warmup_weight: float = 0.5,
        averaged_over: int = 1,
        enabled: bool = True,
    ) -> None:
        if not 0 < lambda_b <= lambda_a or target_bpp <= 0:
            raise OptionError(
                f"0 < lambda_b <= lambda_a and target_bpp > 0 are due: {lambda_b}, {lambda_a}, {target_bpp}"
            )
        if averaged_over < 1:
            raise OptionError(f"averaged_over={averaged_over} is a number of batches, 1 or more")
        self.averaged_over = averaged_over
        self.average_bpp: Tensor | None = None
        self.target_bpp, self.lambda_a, self.lambda_b = target_bpp, lambda_a, lambda_b
        self.warmup, self.warmup_target, self.warmup_weight = warmup, warmup_target, warmup_weight
        self.enabled = enabled

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
        above = rate > self.target(progress) if self.enabled else torch.ones_like(rate, dtype=torch.bool)
        weight = torch.where(above, torch.full_like(rate, self.lambda_a), torch.full_like(rate, self.lambda_b))
        return weight * (self.warmup_weight if progress < self.warmup else 1.0)
