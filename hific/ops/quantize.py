"""Rounding and bounds with gradients: nearest levels, straight-through rounding, additive noise, lower bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

QuantizerGradient = Literal["soft", "straight_through"]


def nearest_symbols(latent: Tensor, levels: int) -> Tensor:
    """Index 0..levels-1 of the center nearest to each value; centers are the integers around 0. int64, same shape.

    A value half way between two centers goes to the even one (`round`), on every machine alike.
    """
    half = levels // 2
    # NaN would become an arbitrary integer, and a training run that went bad would pass for a finite one.
    return torch.nan_to_num(latent.detach().float()).round().clamp(-half, half).to(torch.int64) + half


def symbols_to_latent(symbols: Tensor, levels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The center that each symbol 0..levels-1 stands for: -2..2 for five levels."""
    return (symbols - levels // 2).to(dtype)


def soft_quantize(latent: Tensor, levels: int, sigma: float) -> Tensor:
    """sum_j c_j softmax_j(-sigma (z - c_j)^2): the differentiable stand-in for rounding to centers c_j.

    Agustsson et al. 2017 (soft-to-hard), as used by Mentzer et al. 2018 and by CompressNet's sources.
    """
    half = levels // 2
    centers = torch.arange(-half, half + 1, device=latent.device, dtype=latent.dtype)
    weights = torch.softmax(-sigma * (latent.unsqueeze(-1) - centers).square(), dim=-1)
    return (weights * centers).sum(-1)


def quantize(latent: Tensor, levels: int = 5, sigma: float = 1.0, gradient: QuantizerGradient = "soft") -> Tensor:
    """Forward: the nearest center, exactly. Backward: that of `soft_quantize`, or the identity (`straight_through`)."""
    hard = symbols_to_latent(nearest_symbols(latent, levels), levels, latent.dtype)
    surrogate = soft_quantize(latent, levels, sigma) if gradient == "soft" else latent
    return surrogate + (hard - surrogate).detach() if latent.requires_grad else hard


def round_straight_through(values: Tensor) -> Tensor:
    """Forward: the nearest integer. Backward: the identity."""
    return values + (values.round() - values).detach()


Chance = torch.Generator | Sequence[torch.Generator] | None
"""Of a batch: one generator for all of it, or one for each image; None is the global one."""


def additive_noise(values: Tensor, chance: Chance = None) -> Tensor:
    """Values [B, ...] plus noise, uniform in [-.5, .5): what rounding looks like to a density (Ballé et al. 2017).

    The noise is drawn on the CPU, so that generators give the same on every device.
    """
    if isinstance(chance, Sequence):
        draws = [torch.rand(values.shape[1:], generator=one, dtype=torch.float32) for one in chance]
        noise = torch.stack(draws) - 0.5
    else:
        noise = torch.rand(values.shape, generator=chance, dtype=torch.float32) - 0.5
    return values + noise.to(values.device)


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
