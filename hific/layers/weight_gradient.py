"""The weight gradient of a convolution as matrix products.

oneDNN's own, measured on a CPU without AVX-512 for channels_last tensors, is far from what its operations allow where
channels are no multiple of 8: for HiFiC's 60 to 120 channels 700 ms against a floor of 51; this takes 84. With
multiples of 8 it is nearer (16 to 32 channels: 13 ms against 5; this takes 11).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

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
