"""Means over the ranks of a distributed training, so that what is of a whole batch is not of one rank's share.

The law that they serve: ranks with equal shares of a batch compute what one rank computes with all of it. Gradients are
averaged over ranks; that is right by itself for a loss that is a mean over images. A function of a mean over images (a
deviation, a pattern that all errors have in common, a share of masked places) needs the mean of all ranks inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def count_ranks() -> int:
    """1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of all ranks' values, float, of equal shapes. A collective: all ranks call it, in the same order.

    Its gradient is that of the own value: averaged over ranks afterwards, as gradients of weights are, that is the
    gradient of the mean.
    """
    if count_ranks() == 1:
        return value
    mean: Tensor = _MeanOverRanks.apply(value)
    return mean


class _MeanOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total / count_ranks()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """In place, in one message, for parameters that DDP does not look after."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if count_ranks() == 1 or not gradients:
        return
    means = mean_over_ranks(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, mean in zip(gradients, means.split([one.numel() for one in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
