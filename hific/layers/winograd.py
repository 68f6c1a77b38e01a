"""3x3 convolutions of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2016), on a CPU.

    features [B, H, W, C] ─ windows of 6x6 every 4 ─ B^T d B ─ [36, T, C] ─┐
    weight [O, C, 3, 3] ─────────────────────────── G g G^T ─ [36, O, C] ──┴─ 36 products ─ [36, T, O] ─ A^T m A ─ 4x4

A quarter of the multiplications of the direct form, as plain matrix products; T windows, B * ceil(H/4) * ceil(W/4).
Results differ from the direct form's by some 1e-4 of their standard deviation, and depend on where windows begin only
to that. Measured against oneDNN (one thread, float32): .36 to .65 of its time at 960 to 128 channels, not less at 64.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows of B^T, G and A^T for the points 0, 1, -1, 2, -2 and infinity.
_INPUT = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_KERNEL = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)
TILE, WINDOW = 4, 6
# Below either, the transforms cost more than the products save.
FEWEST_CHANNELS, FEWEST_WINDOWS = 96, 32


def pays(features: Tensor, weight: Tensor) -> bool:
    """Whether this form is the faster one for features [B, C, H, W] and a weight [O, C, 3, 3] of stride and padding
    1."""
    batch, _, height, width = features.shape
    windows = batch * -(-height // TILE) * -(-width // TILE)
    return min(weight.shape[:2]) >= FEWEST_CHANNELS and windows >= FEWEST_WINDOWS


def transform_weight(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] to [36, O, C]."""
    outputs, inputs = weight.shape[:2]
    kernel = weight.new_tensor(_KERNEL)
    return (torch.kron(kernel, kernel) @ weight.permute(2, 3, 0, 1).reshape(9, -1)).view(36, outputs, inputs)


def convolve(features: Tensor, transformed: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of features [B, C, H, W] with zero padding of 1; `transformed` by `transform_weight`."""
    products = torch.bmm(_transform_features(features), transformed.transpose(1, 2))
    batch, _, height, width = features.shape
    outputs, down, across = products.shape[2], -(-height // TILE), -(-width // TILE)
    matrix = products.new_tensor(_OUTPUT)
    rows = (matrix @ products.view(WINDOW, -1)).view(TILE, WINDOW, -1)
    tiles = torch.matmul(matrix, rows).view(TILE, TILE, batch, down, across, outputs).permute(2, 3, 0, 4, 1, 5)
    # No view of another tensor: autograd would refuse a ReLU in place behind it.
    size = (batch, outputs, down * TILE, across * TILE)
    result = torch.empty(size, dtype=products.dtype, memory_format=torch.channels_last)
    target = result.permute(0, 2, 3, 1).view(batch, down, TILE, across, TILE, outputs)
    torch.add(tiles, 0.0 if bias is None else bias, out=target)
    if (down * TILE, across * TILE) == (height, width):
        return result
    return result[..., :height, :width].contiguous(memory_format=torch.channels_last)


class WinogradConvolution(torch.autograd.Function):
    """features [B, C, H, W], weight [O, C, 3, 3], bias [O] or None; all three gradients in this form too."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return convolve(features, transform_weight(weight), bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        features_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            # The transposed convolution: kernels turned around, inputs for outputs.
            turned = weight.flip(2, 3).transpose(0, 1)
            features_gradient = convolve(gradient, transform_weight(turned), None)
        if ctx.needs_input_grad[1]:
            weight_gradient = _weight_gradient(features, gradient)
        bias_gradient = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return features_gradient, weight_gradient, bias_gradient


def _transform_features(features: Tensor) -> Tensor:
    """[B, C, H, W] to [36, T, C]."""
    windows = _windows(features, WINDOW, before=1)
    matrix = features.new_tensor(_INPUT)
    rows = (matrix @ windows.reshape(WINDOW, -1)).view(WINDOW, WINDOW, -1)
    return torch.matmul(matrix, rows).view(WINDOW * WINDOW, -1, features.shape[1])


def _weight_gradient(features: Tensor, gradient: Tensor) -> Tensor:
    """[O, C, 3, 3] of features [B, C, H, W] and the output's gradient [B, O, H, W]."""
    outputs = gradient.shape[1]
    matrix = gradient.new_tensor(_OUTPUT).t()
    rows = (matrix @ _windows(gradient, TILE, before=0).reshape(TILE, -1)).view(WINDOW, TILE, -1)
    spread = torch.matmul(matrix, rows).view(WINDOW * WINDOW, -1, outputs)
    products = torch.bmm(spread.transpose(1, 2), _transform_features(features))
    kernel = gradient.new_tensor(_KERNEL)
    summed = torch.kron(kernel, kernel).t() @ products.view(36, -1)
    return summed.view(3, 3, outputs, features.shape[1]).permute(2, 3, 0, 1)


def _windows(features: Tensor, side: int, before: int) -> Tensor:
    """[B, C, H, W] to windows [side, side, B, ceil(H/4), ceil(W/4), C] every 4 positions, beginning `before` positions
    outside; zeros beyond the borders. A view."""
    batch, channels, height, width = features.shape
    down, across = -(-height // TILE), -(-width // TILE)
    after = side - TILE - before
    right, below = across * TILE + after - width, down * TILE + after - height
    padded = F.pad(features.permute(0, 2, 3, 1), (0, 0, before, right, before, below)).contiguous()
    image, row, column, channel = padded.stride()
    strides = (row, column, image, TILE * row, TILE * column, channel)
    return padded.as_strided((side, side, batch, down, across, channels), strides)
