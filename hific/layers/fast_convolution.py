"""Convolutions in the form that is fastest for their shape, in float32 on a CPU.

    features [B, C, H, W], channels_last ─┬─ many channels, 3x3, stride 1: Winograd's form, both ways (`winograd`)
                                          └─ else oneDNN's; backward, the weight's gradient as matrix products

Parameters, names, initialization and results are those of nn.Conv2d and nn.ConvTranspose2d. Everywhere else (CUDA,
autocast, other padding, dilation, groups) these are nn.Conv2d and nn.ConvTranspose2d.

oneDNN's own weight gradient, measured on a CPU without AVX-512 for channels_last tensors, is far from what its
operations allow where channels are no multiple of 8: for HiFiC's 60 to 120 channels 700 ms against a floor of 51; this
takes 84. With multiples of 8 it is nearer (16 to 32 channels: 13 ms against 5; this takes 11).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hific.layers import winograd

FEWEST_INPUTS = 8


class FastConv2d(nn.Conv2d):
    # Of inference: the transformed weight, and of which version of the weight it is. Four times the weight's memory.
    _transformed: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, features: Tensor) -> Tensor:
        if not _applies(self, features):
            return super().forward(features)
        if self._is_plain_3x3 and winograd.pays(features, self.weight):
            if torch.is_grad_enabled():
                self._transformed = None
                learned: Tensor = winograd.WinogradConvolution.apply(features, self.weight, self.bias)
                return learned
            return winograd.convolve(features, self._transformed_weight(), self.bias)
        if not _learns(self):
            return super().forward(features)
        result: Tensor = _Convolution.apply(features, self.weight, self.bias, self.stride, self.padding, None)
        return result

    @property
    def _is_plain_3x3(self) -> bool:
        return (self.kernel_size, self.stride, self.padding) == ((3, 3), (1, 1), (1, 1))

    def _transformed_weight(self) -> Tensor:
        version = (self.weight.data_ptr(), -1 if self.weight.is_inference() else self.weight._version)
        if self._transformed is None or self._transformed[0] != version:
            self._transformed = (version, winograd.transform_weight(self.weight))
        return self._transformed[1]


class FastConvTranspose2d(nn.ConvTranspose2d):
    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        if output_size is not None or not (_learns(self) and _applies(self, features)):
            return super().forward(features, output_size)
        arguments = (self.weight, self.bias, self.stride, self.padding, self.output_padding)
        result: Tensor = _Convolution.apply(features, *arguments)
        return result


def use_fast_convolutions(network: nn.Module) -> None:
    """Makes nn's convolutions those of this file; modules and parameters stay the same objects.

    Not where there are few inputs (a stem's 3): at size=small, laying out its windows takes longer than oneDNN's own
    gradient (32 ms and 20; at size=paper 66 and 104, of a step of 10 s).
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and module.in_channels >= FEWEST_INPUTS:
            module.__class__ = FastConv2d
        elif type(module) is nn.ConvTranspose2d:
            module.__class__ = FastConvTranspose2d


def _learns(module: nn.Module) -> bool:
    return torch.is_grad_enabled() and bool(module.weight.requires_grad)


def _applies(module: FastConv2d | FastConvTranspose2d, features: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and features.device.type == "cpu"
        and features.dtype == module.weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and module.padding_mode == "zeros"
        and isinstance(module.padding, tuple)
        and module.groups == 1
        and module.dilation == (1, 1)
        and all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding))
    )


class _Convolution(torch.autograd.Function):
    """Transposed where `output_padding` is given."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        output_padding: tuple[int, int] | None,
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding, ctx.output_padding = stride, padding, output_padding
        if output_padding is None:
            return torch.conv2d(features, weight, bias, stride, padding)
        return torch.conv_transpose2d(features, weight, bias, stride, padding, output_padding)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        features_gradient, weight_gradient = None, None
        if needs_features:
            transposed, output_padding = ctx.output_padding is not None, ctx.output_padding or (0, 0)
            geometry = (ctx.stride, ctx.padding, (1, 1), transposed, output_padding, 1)
            features_gradient = torch.ops.aten.convolution_backward(
                gradient, features, weight, None, *geometry, [True, False, False]
            )[0]
        if needs_weight:
            of = convolution_weight_gradient if ctx.output_padding is None else transposed_weight_gradient
            weight_gradient = of(features, gradient, weight.shape[-1], ctx.stride[0], ctx.padding[0])
        bias_gradient = gradient.sum((0, 2, 3)) if needs_bias else None
        return features_gradient, weight_gradient, bias_gradient, None, None, None


# Windows laid out at a time: enough that the accumulated gradient is read seldom, few enough to stay in cache, and in
# memory that malloc keeps (it maps blocks of 32 MB afresh, page by page, each time).
MAX_WINDOWS = 4096
MAX_VALUES = 6 << 20


def window_products(fine: Tensor, coarse: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """The sum over positions p of coarse[p, o] * fine[stride * p + k - padding, c], as [O, kernel, kernel, C].

    fine [B, H, W, C] and coarse [B, h, w, O]; positions outside of `fine` hold zeros. This is the weight gradient of a
    convolution of `fine` whose output's gradient is `coarse`, and of a transposed convolution of `coarse` whose
    output's gradient is `fine`.
    """
    batch, height, width, outputs = coarse.shape
    values = kernel * kernel * fine.shape[-1]
    windows = max(width, min(MAX_WINDOWS, MAX_VALUES // values))
    rows = min(height, windows // width)
    images = min(batch, windows // (height * width)) if rows == height else 1
    columns = fine.new_empty(images * rows * width * values)
    products = fine.new_zeros(outputs, values)
    for image in range(0, batch, images):
        padded = F.pad(fine[image : image + images], (0, 0, padding, padding, padding, padding))
        for row in range(0, height, rows):
            some = coarse[image : image + images, row : row + rows]
            view = _windows(padded[:, stride * row :], some.shape[1], width, kernel, stride)
            laid_out = columns[: view.numel()].view(view.shape).copy_(view).view(-1, values)
            products.addmm_(some.reshape(-1, outputs).t(), laid_out)
    return products.view(outputs, kernel, kernel, fine.shape[-1])


def _windows(padded: Tensor, height: int, width: int, kernel: int, stride: int) -> Tensor:
    """[B, H, W, C] to overlapping windows [B, height, width, kernel, kernel, C], without a copy."""
    batch, _, _, channels = padded.shape
    image, row, column, channel = padded.stride()
    return padded.as_strided(
        (batch, height, width, kernel, kernel, channels),
        (image, stride * row, stride * column, row, column, channel),
    )


def convolution_weight_gradient(features: Tensor, gradient: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """[O, C, kernel, kernel] for features [B, C, H, W] and the gradient [B, O, h, w] of the output."""
    last, gradient_last = features.permute(0, 2, 3, 1).contiguous(), gradient.permute(0, 2, 3, 1).contiguous()
    if stride == 1 and gradient.shape[1] < features.shape[1]:
        # With few outputs (the 3 of an image) the windows are laid out on their side: a window seen from the other end.
        products = window_products(gradient_last, last, kernel, 1, kernel - 1 - padding)
        return products.flip(1, 2).permute(3, 0, 1, 2)
    return window_products(last, gradient_last, kernel, stride, padding).permute(0, 3, 1, 2)


def transposed_weight_gradient(features: Tensor, gradient: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """[C, O, kernel, kernel] for features [B, C, h, w] and the gradient [B, O, H, W] of the output."""
    last, gradient_last = features.permute(0, 2, 3, 1).contiguous(), gradient.permute(0, 2, 3, 1).contiguous()
    return window_products(gradient_last, last, kernel, stride, padding).permute(0, 3, 1, 2)
