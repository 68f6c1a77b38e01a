"""Laws of the quantizer, the padding and the shifted crop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hific.ops.images import pad_to_multiple, padded_size, shifted_crop
from hific.ops.quantize import nearest_symbols, quantize, round_straight_through, soft_quantize, symbols_to_latent


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
def test_forward_is_the_nearest_center(values: list[float]) -> None:
    z = torch.tensor(values)
    centers = torch.arange(-2.0, 3.0)
    distance = (quantize(z) - z).abs()
    assert torch.equal(distance, (z.unsqueeze(-1) - centers).abs().amin(-1))


def test_what_lies_half_way_goes_to_the_even_neighbor() -> None:
    """So that no machine, and no sign, is rounded otherwise."""
    ties = torch.tensor([-1.5, -0.5, 0.5, 1.5])
    assert quantize(ties).tolist() == [-2, 0, 0, 2]
    assert nearest_symbols(ties, 5).tolist() == [0, 2, 2, 4]
    assert round_straight_through(torch.tensor([-2.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-2, 0, 0, 2, 2]


def test_symbols_and_latents_are_inverse() -> None:
    symbols = torch.arange(5)
    assert torch.equal(nearest_symbols(symbols_to_latent(symbols, 5), 5), symbols)
    assert symbols_to_latent(symbols, 5).tolist() == [-2, -1, 0, 1, 2]


def test_soft_gradient_is_that_of_the_soft_assignment() -> None:
    z = torch.linspace(-3, 3, 41, dtype=torch.float64, requires_grad=True)
    (quantize(z, gradient="soft") ** 2).sum().backward()
    hard_gradient, z.grad = z.grad, None
    soft = soft_quantize(z, 5, 1.0)
    (2 * quantize(z).detach() * soft).sum().backward()
    torch.testing.assert_close(hard_gradient, z.grad)
    assert torch.autograd.gradcheck(lambda t: soft_quantize(t, 5, 1.0), (z.detach().requires_grad_(),))


def test_straight_through_gradient_is_one() -> None:
    z = torch.linspace(-3, 3, 13, requires_grad=True)
    quantize(z, gradient="straight_through").sum().backward()
    assert torch.equal(z.grad, torch.ones(13))


@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 100))
def test_padded_size_is_the_least_that_fits(length: int, multiple: int, minimum: int) -> None:
    size = padded_size(length, multiple, minimum)
    assert size % multiple == 0 and size >= max(length, minimum) and size - multiple < max(length, minimum)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (33, 17), (32, 32)])
def test_padding_repeats_the_edge_at_the_right_and_the_bottom(shape: tuple[int, int]) -> None:
    x = torch.rand(1, 3, *shape)
    padded = pad_to_multiple(x, 16, 32)
    h, w = shape
    assert torch.equal(padded[..., :h, :w], x)
    assert torch.equal(padded[..., :h, w:], x[..., -1:].expand_as(padded[..., :h, w:]))
    assert torch.equal(padded[..., h:, :], padded[..., h - 1 : h, :].expand_as(padded[..., h:, :]))


def test_shifted_crop_cuts_all_tensors_alike_everywhere() -> None:
    x = torch.arange(40.0 * 40).view(1, 1, 40, 40)
    offsets = set()
    for seed in range(200):
        a, b = shifted_crop((x, -x), 4, torch.Generator().manual_seed(seed))
        assert a.shape[-2:] == (36, 36) and torch.equal(a, -b)
        offsets.add(int(a[0, 0, 0, 0]))
    assert len(offsets) == 25  # 5 x 5 offsets, 0..4 each
    assert shifted_crop((x,), 0, torch.Generator())[0] is x
