"""ChannelNorm's own autograd function against the formula, and in the company it keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hific.layers.blocks import ChannelNorm


def formula(x: Tensor, norm: ChannelNorm, eps: float = 1e-3) -> Tensor:
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=True)
    return (x - mean) / (variance + eps).sqrt() * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


def random_norm(channels: int, dtype: torch.dtype = torch.float32) -> ChannelNorm:
    torch.manual_seed(0)
    norm = ChannelNorm(channels).to(dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "channels_last"])
@pytest.mark.parametrize("inplace", [False, True], ids=["relu", "relu in place"])
def test_gradients_are_the_formula_s(layout: torch.memory_format, inplace: bool) -> None:
    norm, relu = random_norm(7), nn.ReLU(inplace=inplace)
    x, weights = torch.randn(2, 7, 5, 3).contiguous(memory_format=layout), torch.randn(2, 7, 5, 3)
    found = []
    for work in (norm, lambda features: formula(features, norm)):
        features = x.clone().requires_grad_()
        inputs = [features, norm.weight, norm.bias]
        found.append(torch.autograd.grad((relu(work(features)) * weights).sum(), inputs))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_gradcheck() -> None:
    norm = random_norm(4, torch.float64)
    assert torch.autograd.gradcheck(norm, (torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True),))


def test_result_is_channels_last_and_no_view() -> None:
    result = random_norm(6)(torch.randn(2, 6, 4, 5))
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert not result._is_view()


@pytest.mark.parametrize("frozen", ["features", "parameters"])
def test_frozen_parts_have_no_gradient(frozen: str) -> None:
    norm = random_norm(6).requires_grad_(frozen != "parameters")
    features = torch.randn(2, 6, 4, 5, requires_grad=frozen != "features")
    norm(features).square().sum().backward()
    assert (features.grad is None) == (frozen == "features")
    assert (norm.weight.grad is None) == (frozen == "parameters")


def test_autocast_stays_close() -> None:
    norm, x = random_norm(16), torch.randn(2, 16, 4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        result = norm(x.bfloat16().requires_grad_())
        result.float().square().sum().backward()
    torch.testing.assert_close(result.float(), norm(x), rtol=0.05, atol=0.05)


def test_no_gradient_and_inference_mode_agree() -> None:
    norm, x = random_norm(6), torch.randn(2, 6, 4, 5)
    with torch.inference_mode():
        inference = norm(x).relu_().clone()
    with torch.no_grad():
        torch.testing.assert_close(norm(x).relu_(), inference, rtol=0, atol=0)
