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
        enabled: bool = True,
    ) -> None:
        if not 0 < lambda_b <= lambda_a or target_bpp <= 0:
            raise OptionError(
                f"0 < lambda_b <= lambda_a and target_bpp > 0 are due: {lambda_b}, {lambda_a}, {target_bpp}"
            )
        self.target_bpp, self.lambda_a, self.lambda_b = target_bpp, lambda_a, lambda_b
        self.warmup, self.warmup_target, self.warmup_weight = warmup, warmup_target, warmup_weight
        self.enabled = enabled

    def target(self, progress: float) -> float:
        """Bits per pixel that are aimed at when a share `progress` of the stage is done."""
        return self.target_bpp * (self.warmup_target if progress < self.warmup else 1.0)

    def weight(self, quantized_bpp: Tensor, progress: float) -> Tensor:
        """The weight of the noisy estimated bpp, a scalar without gradient.

        quantized_bpp: estimated bpp of the rounded latents of the whole batch, of all ranks.
        """
        rate = quantized_bpp.detach()
        above = rate > self.target(progress) if self.enabled else torch.ones_like(rate, dtype=torch.bool)
        weight = torch.where(above, torch.full_like(rate, self.lambda_a), torch.full_like(rate, self.lambda_b))
        return weight * (self.warmup_weight if progress < self.warmup else 1.0)
