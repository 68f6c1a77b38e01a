"""Laws of the exact convolutions: they are what plain integers give, bit for bit, however they are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hific.entropy import integer_convolution
from hific.entropy.integer_convolution import SUM_LIMIT, WEIGHT_LIMIT, IntegerConvolution, largest_sum, zero_bordered

Integers = NDArray[np.int64]
LIMIT = (1 << 20) - 1


def make_layer(rng: np.random.Generator, inputs: int, outputs: int, transposed: bool) -> IntegerConvolution:
    shape = (inputs, outputs, 5, 5) if transposed else (outputs, inputs, 3, 3)
    weights = rng.integers(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, shape).astype(np.int16)
    return IntegerConvolution(weights, rng.integers(-(2**50), 2**50, outputs), LIMIT)


def make_input(rng: np.random.Generator, inputs: int, height: int, width: int) -> Integers:
    return rng.integers(-LIMIT, LIMIT + 1, (inputs, height, width))


def apply(layer: IntegerConvolution, values: Integers) -> NDArray[np.float64]:
    _, height, width = values.shape
    padded = zero_bordered(*values.shape)
    padded[:, 1:-1, 1:-1] = torch.from_numpy(values)
    shape = (layer.num_outputs, layer.stride * height, layer.stride * width)
    output = torch.full(shape, torch.nan, dtype=torch.float64, device="cpu")
    layer.apply(padded, lambda sums: sums, output)
    return output.numpy()


def reference(layer: IntegerConvolution, values: Integers) -> Integers:
    """In int64, from the definition: a transposed convolution adds each input times the kernel to its neighborhood."""
    weights = layer.weights.astype(np.int64)
    inputs, height, width = values.shape
    if layer.transposed:
        grown = np.zeros((layer.num_outputs, 2 * height + 3, 2 * width + 3), np.int64)
        for row, column in np.ndindex(height, width):
            spread = np.tensordot(values[:, row, column], weights, axes=1)
            grown[:, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5] += spread
        result = grown[:, 2 : 2 * height + 2, 2 : 2 * width + 2]
    else:
        padded = np.zeros((inputs, height + 2, width + 2), np.int64)
        padded[:, 1:-1, 1:-1] = values
        result = np.zeros((layer.num_outputs, height, width), np.int64)
        for row, column in np.ndindex(height, width):
            result[:, row, column] = np.tensordot(weights, padded[:, row : row + 3, column : column + 3], axes=3)
    return result + layer.biases[:, None, None]


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.booleans())
@settings(max_examples=50, deadline=None)
def test_sums_are_those_of_plain_integers(
    seed: int, inputs: int, outputs: int, height: int, width: int, transposed: bool
) -> None:
    rng = np.random.default_rng(seed)
    layer = make_layer(rng, inputs, outputs, transposed)
    values = make_input(rng, inputs, height, width)
    np.testing.assert_array_equal(apply(layer, values), reference(layer, values))


def torch_convolution(layer: IntegerConvolution, values: Integers) -> NDArray[np.float64]:
    """A second source, and the layers of the float network."""
    given_values, weights, biases = (
        torch.from_numpy(array).double() for array in (values, layer.weights, layer.biases)
    )
    if layer.transposed:
        return F.conv_transpose2d(given_values[None], weights, biases, 2, 2, 1)[0].numpy()
    return F.conv2d(given_values[None], weights, biases, padding=1)[0].numpy()


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("transposed", [True, False])
def test_the_same_bits_however_they_are_computed(transposed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    layer = make_layer(rng, 40, 24, transposed)
    values = make_input(rng, 40, 19, 23)
    expected = apply(layer, values)
    np.testing.assert_array_equal(torch_convolution(layer, values), expected)
    for count in (1, 2):
        with threads(count), torch.backends.mkldnn.flags(enabled=count == 1), torch.inference_mode():
            np.testing.assert_array_equal(apply(layer, values), expected)
    with torch.autocast("cpu"), torch.device("meta"):
        np.testing.assert_array_equal(apply(layer, values), expected)
    for rows in (1, 2, 7):
        monkeypatch.setattr(integer_convolution, "BAND_BYTES", rows * 9 * 40 * 23 * 8)
        np.testing.assert_array_equal(apply(layer, values), expected)
    # Another order of summation.
    order = rng.permutation(40)
    weights = layer.weights[order] if transposed else layer.weights[:, order]
    shuffled = IntegerConvolution(weights, layer.biases, LIMIT)
    np.testing.assert_array_equal(apply(shuffled, values[order]), expected)


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_weights_and_inputs_at_paper_size_are_exact(transposed: bool, sign: int) -> None:
    shape = (320, 2, 5, 5) if transposed else (2, 320, 3, 3)
    weights = np.full(shape, WEIGHT_LIMIT, np.int16)
    layer = IntegerConvolution(weights, np.array([sign, sign * (2**51 - 1)], np.int64), LIMIT)
    sums = apply(layer, np.full((320, 3, 3), sign * LIMIT))
    taps = [[9, 6], [6, 4]] if transposed else [[9]]
    for row, row_taps in enumerate(taps):
        for column, num_taps in enumerate(row_taps):
            exact = sign * 320 * num_taps * WEIGHT_LIMIT * LIMIT
            assert [int(value) for value in sums[:, layer.stride + row, layer.stride + column]] == [
                exact + sign,
                exact + sign * (2**51 - 1),
            ]
    assert np.abs(sums).max() <= largest_sum(weights, layer.biases, LIMIT) < SUM_LIMIT


def test_layers_that_could_be_inexact_are_refused() -> None:
    full = np.full((1, 320, 3, 3), WEIGHT_LIMIT, np.int16)
    none = np.zeros(1, np.int64)
    limit = SUM_LIMIT // (320 * 9 * WEIGHT_LIMIT)
    IntegerConvolution(full, none, limit)
    for weights, biases, input_limit in (
        (full, none, limit + 1),
        (-full, none, limit + 1),
        (full, np.array([SUM_LIMIT]), 1),
        (full, np.array([-(2**63)]), 1),
        (np.full((2**12, 1, 5, 5), WEIGHT_LIMIT, np.int16), none, 2**21),
    ):
        with pytest.raises(ValueError, match=r"exceed 2\*\*52"):
            IntegerConvolution(weights, biases, input_limit)


def test_what_is_no_layer_is_refused() -> None:
    weights, biases = np.zeros((2, 3, 3, 3), np.int16), np.zeros(2, np.int64)
    lowest = np.full_like(weights, -(2**15))
    for wrong_weights in (weights[0], weights[..., :2], weights[:0], weights.astype(np.int32), lowest):
        with pytest.raises(ValueError, match="integer convolution"):
            IntegerConvolution(wrong_weights, biases, 1)
    for wrong_biases in (biases[:1], biases.astype(np.int32), biases[None]):
        with pytest.raises(ValueError, match="integer convolution"):
            IntegerConvolution(weights, wrong_biases, 1)


def test_finishing_happens_once_per_sum_and_any_type_of_output_is_filled() -> None:
    rng = np.random.default_rng(1)
    layer = make_layer(rng, 3, 2, True)
    values = make_input(rng, 3, 4, 5)
    padded = zero_bordered(3, 4, 5)
    padded[:, 1:-1, 1:-1] = torch.from_numpy(values)
    signs = torch.empty(2, 8, 10, dtype=torch.int32)

    def finish(sums: Tensor) -> Tensor:
        return sums.mul_(0.5).sign_()

    layer.apply(padded, finish, signs)
    np.testing.assert_array_equal(signs.numpy(), np.sign(reference(layer, values)))
