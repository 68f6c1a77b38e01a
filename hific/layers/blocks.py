"""What networks are built of: normalizations and nonlinearities, a convolution with both, residual blocks.

A residual block looks around all channels at once, a depthwise one around one channel at a time, and mixes channels at
one position at a time:

    x [B, k, h, w] ─┬─ 1x1 to 2k ─ ReLU ─ 3x3 of each channel ─ ReLU ─ 1x1 to k ─ + ─ [B, k, h, w]
                    └──────────────────────────────────────────────────────────────┘

The latter is the inverted residual of MobileNetV2 (Sandler et al. 2018), without its norms; what transforms of fast
learned codecs are made of (Jia et al. 2025, DCVC-RT). It takes 4·k² multiplications a position, two dense 3x3 18·k².
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hific.errors import OptionError


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


Activation = Literal["relu", "leaky_relu"]


def activation_layer(kind: Activation) -> nn.Module:
    """ReLU, or LeakyReLU with a slope of .2 below zero."""
    if kind == "relu":
        return nn.ReLU(inplace=True)
    if kind == "leaky_relu":
        return nn.LeakyReLU(0.2, inplace=True)
    raise OptionError(f"activation={kind!r} is none of relu, leaky_relu")


Normalization = Literal["instance", "channel", "batch", "none"]


def normalization_layer(kind: Normalization, channels: int) -> nn.Module:
    """`instance`: over the positions of each channel (affine); `channel`: over the channels of each position; `batch`:
    over the positions of the whole batch, by running statistics in use."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "channel":
        return ChannelNorm(channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    raise OptionError(f"normalization={kind!r} is none of instance, channel, batch, none")


PaddingMode = Literal["reflect", "zeros"]


def conv_block(
    inputs: int,
    outputs: int,
    kernel: int,
    normalization: Normalization,
    stride: int = 1,
    padding_mode: PaddingMode = "reflect",
    activation: Activation = "relu",
) -> nn.Sequential:
    """c{kernel}s{stride}-{outputs}: padding of kernel // 2 (reflection in CompressNet, zeros in HiFiC), then
    normalization, then the nonlinearity."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, padding_mode=padding_mode)
    return nn.Sequential(conv, normalization_layer(normalization, outputs), activation_layer(activation))


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), all of `channels` channels; [B, k, h, w] -> the same shape."""

    def __init__(
        self,
        channels: int,
        normalization: Normalization,
        padding_mode: PaddingMode = "reflect",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.first = conv_block(channels, channels, 3, normalization, 1, padding_mode, activation)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding_mode),
            normalization_layer(normalization, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.first(features))


def run_blocks(blocks: Iterable[nn.Module], features: Tensor, *, recompute: bool) -> Tensor:
    """One behind the other; with `recompute` only what goes into each is kept for the backward pass, which runs it
    again."""
    for block in blocks:
        if recompute and torch.is_grad_enabled():
            features = checkpoint(block, features, use_reentrant=False, preserve_rng_state=False)
        else:
            features = block(features)
    return features


EXPANSION = 2


class DepthwiseBlock(nn.Module):
    """[B, k, h, w] -> the same shape. Starts as the identity: the last convolution is zero, and the 3x3 passes its
    input on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.widen = nn.Conv2d(channels, hidden, 1)
        self.around = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.narrow = nn.Conv2d(hidden, channels, 1)
        self.activation = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.around.weight.mul_(0.5)[:, :, 1, 1] += 1
        nn.init.zeros_(self.narrow.weight)
        assert self.narrow.bias is not None
        nn.init.zeros_(self.narrow.bias)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.activation(self.around(self.activation(self.widen(features))))
        return features + self.narrow(hidden)


def depthwise_blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(DepthwiseBlock(channels) for _ in range(count)))
