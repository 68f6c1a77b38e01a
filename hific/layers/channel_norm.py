"""ChannelNorm: normalization over the channels of each position (Mentzer et al. 2020, section 3.3)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * weight + bias over C at every position of [B, C, H, W].

    The variance is the unbiased one, as in the reference. Because nothing is pooled over positions, a tile of an
    image is normalized as it is inside the whole image, and brightness and hue survive where InstanceNorm removes
    them. One fused pass: the biased `layer_norm` over the last axis of a channels_last tensor, rescaled.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        # var_unbiased + eps = (var_biased + eps_biased) * C / (C - 1)
        self.unbias = ((channels - 1) / channels) ** 0.5
        self.eps = eps * (channels - 1) / channels

    def forward(self, features: Tensor) -> Tensor:
        if torch.compiler.is_compiling():  # which fuses what the function below works around
            last = features.permute(0, 2, 3, 1)
            fused = F.layer_norm(last, (self.channels,), self.weight * self.unbias, self.bias, self.eps)
            return fused.permute(0, 3, 1, 2)
        if features.is_cuda and torch.is_autocast_enabled("cuda"):
            features = features.float()  # as autocast does for F.layer_norm
        normalized: Tensor = _LayerNormOfChannels.apply(features, self.weight * self.unbias, self.bias, self.eps)
        return normalized


class _LayerNormOfChannels(torch.autograd.Function):
    """`layer_norm` of [B, C, H, W] over C; the result is channels_last and, to autograd, no view.

    A view, which the permuted result of F.layer_norm is, makes the ReLU in place behind it expensive: autograd rebuilds
    the gradient of the view's base by copies of mixed layout, about a sixth of a training step of size=small.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        last = features.permute(0, 2, 3, 1).contiguous()
        normalized, mean, inverse_deviation = torch.native_layer_norm(last, weight.shape, weight, bias, eps)
        ctx.save_for_backward(last, mean, inverse_deviation, weight, bias)
        batch, height, width, channels = last.shape
        strides = (height * width * channels, 1, width * channels, channels)
        result = torch.empty(0, dtype=normalized.dtype, device=normalized.device)
        return result.set_(normalized.untyped_storage(), 0, (batch, channels, height, width), strides)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        last, mean, inverse_deviation, weight, bias = ctx.saved_tensors
        arguments = (last, weight.shape, mean, inverse_deviation, weight, bias, list(ctx.needs_input_grad[:3]))
        of_last, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
            gradient.permute(0, 2, 3, 1).contiguous(), *arguments
        )
        return of_last.permute(0, 3, 1, 2) if of_last is not None else None, of_weight, of_bias, None
