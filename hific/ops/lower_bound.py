"""max(x, bound) whose gradient still pulls values up that are below the bound (Ballé et al. 2018)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def lower_bound(values: Tensor, bound: float) -> Tensor:
    """Elementwise maximum of the values and `bound`. Below it, the gradient passes only if it raises the value."""
    return _LowerBound.apply(values, bound)


class _LowerBound(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bound = bound
        return values.clamp(min=bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        passes = (values >= ctx.bound) | (gradient < 0)
        return gradient * passes, None
