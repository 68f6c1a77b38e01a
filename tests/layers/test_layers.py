"""Laws of the building blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hific.layers.blocks import ChannelNorm
from hific.layers.resampling import (
    SubPixelUpsampling,
    max_pool_with_switches,
    max_unpool,
    upsampling_layer,
    windows_2x2,
)


def reference_channel_norm(x: torch.Tensor, norm: ChannelNorm, eps: float = 1e-3) -> torch.Tensor:
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=True)
    return (x - mean) / (variance + eps).sqrt() * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_channel_norm_is_its_formula(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    norm = ChannelNorm(7)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (torch.randn(2, 7, 5, 3) * 0.05).contiguous(memory_format=memory_format)  # small, so that eps matters
    torch.testing.assert_close(norm(x), reference_channel_norm(x, norm), rtol=1e-5, atol=1e-5)


def test_channel_norm_sees_one_position_only() -> None:
    norm = ChannelNorm(4)
    x = torch.randn(1, 4, 6, 6)
    torch.testing.assert_close(norm(x)[..., 1:4, 2:5], norm(x[..., 1:4, 2:5]), rtol=0, atol=0)


def test_icnr_starts_without_a_checkerboard() -> None:
    upsampling = SubPixelUpsampling(3)
    out = upsampling(torch.randn(1, 3, 4, 4))
    members = windows_2x2(out)
    torch.testing.assert_close(members, members[:, :, :1].expand_as(members))
    assert out.std() > 0.1


@pytest.mark.parametrize("kind", ["sub_pixel", "transposed"])
def test_upsampling_doubles(kind: str) -> None:
    assert upsampling_layer(kind, 6)(torch.randn(1, 6, 3, 5)).shape == (1, 6, 6, 10)  # type: ignore[arg-type]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**31))
def test_unpooling_restores_the_maxima_where_they_were(channels: int, h: int, w: int, seed: int) -> None:
    x = torch.randn(2, channels, 2 * h, 2 * w, generator=torch.Generator().manual_seed(seed))
    pooled = max_pool_with_switches(x)
    restored = max_unpool(pooled.values, pooled.switches)
    kept = restored != 0
    torch.testing.assert_close(restored[kept], x[kept], rtol=0, atol=0)
    assert kept.sum() == pooled.values.numel()
    torch.testing.assert_close(max_pool_with_switches(x + 100).values - 100, pooled.values)


def test_switch_numbers_are_row_major() -> None:
    x = torch.zeros(1, 1, 2, 8)
    for place, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        x[0, 0, row, 2 * place + column] = 1.0
    assert max_pool_with_switches(x).switches.flatten().tolist() == [0, 1, 2, 3]


def test_ties_are_found_and_go_to_the_lowest_place() -> None:
    x = torch.tensor([[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 2.0, 1.0]]).view(1, 1, 2, 4)
    pooled = max_pool_with_switches(x)
    assert pooled.tied.flatten().tolist() == [True, True]
    assert pooled.switches.flatten().tolist() == [0, 1]
    assert not max_pool_with_switches(torch.arange(16.0).view(1, 1, 4, 4)).tied.any()


def test_pool_and_unpool_have_gradients() -> None:
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: max_pool_with_switches(t).values, (x,))
    switches = max_pool_with_switches(x).switches
    values = torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: max_unpool(v, switches), (values,))
