"""Laws of the integer hyper-synthesis: near the float network, and the same bits wherever and however it runs."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hific.entropy import integer_convolution
from hific.entropy.integer_convolution import SUM_LIMIT, WEIGHT_LIMIT, IntegerConvolution
from hific.entropy.integer_hyper_synthesis import (
    ACTIVATION_LIMIT,
    HYPER_LIMIT,
    MEAN_BITS,
    MEAN_LIMIT,
    UNSEEN_PEAK,
    IntegerHyperSynthesis,
    quantize_hyper_synthesis,
)
from hific.entropy.tables import scale_thresholds
from hific.networks.hific import HyperSynthesis

HYPER_CHANNELS, LATENT_CHANNELS = 12, 10
Symbols = NDArray[np.int32]


def make_network(seed: int = 0, gain: float = 2.5) -> HyperSynthesis:
    """A float network whose activations neither die nor explode, and whose outputs are scales of many sizes."""
    torch.manual_seed(seed)
    network = HyperSynthesis(HYPER_CHANNELS, LATENT_CHANNELS)
    network.start_at(torch.ones(LATENT_CHANNELS))
    with torch.no_grad():
        for layer in (network.up1, network.up2, network.head):
            layer.weight *= gain
    return network


def make_symbols(seed: int = 0, height: int = 5, width: int = 7, spread: float = 3) -> Symbols:
    return np.rint(np.random.default_rng(seed).laplace(0, spread, (HYPER_CHANNELS, height, width))).astype(np.int32)


def parameters(network: HyperSynthesis) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(layer.weight, layer.bias) for layer in (network.up1, network.up2, network.head)]


def quantized(network: HyperSynthesis, activation_range: list[float] | None = None) -> IntegerHyperSynthesis:
    return quantize_hyper_synthesis(
        *parameters(network), network.activation_range if activation_range is None else activation_range
    )


def float_outputs(network: HyperSynthesis, symbols: Symbols) -> NDArray[np.float64]:
    """In float64; a pass in training mode, which notes the activation range."""
    with torch.no_grad():
        return network.double()(torch.from_numpy(symbols).double()[None])[0].numpy()


@pytest.mark.parametrize("seed", range(3))
def test_outputs_are_near_the_float_network_s(seed: int) -> None:
    network, symbols = make_network(seed), make_symbols(seed)
    expected = float_outputs(network, symbols)
    synthesis = quantized(network)
    thresholds = scale_thresholds()
    table_ids = synthesis.table_ids(symbols, 20, 28, synthesis.fixed_point(thresholds))
    means = synthesis.means(symbols, 20, 28)
    assert np.abs(means - expected).max() < 1e-3 * expected.std() + 2.0**-MEAN_BITS
    nearest = np.searchsorted(thresholds, expected, side="right")
    assert len(np.unique(nearest)) > 15
    assert np.abs(table_ids - nearest).max() <= 1
    assert (table_ids != nearest).mean() < 0.005
    assert (means.dtype, table_ids.dtype) == (np.float32, np.int32)


def test_means_are_multiples_that_float32_holds_exactly() -> None:
    means = quantized(make_network()).means(make_symbols(), 20, 28).astype(np.float64) * 2**MEAN_BITS
    np.testing.assert_array_equal(means, np.rint(means))


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_the_same_bits_however_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    network, symbols = make_network(), make_symbols()
    float_outputs(network, symbols)
    synthesis = quantized(network)
    thresholds = synthesis.fixed_point(scale_thresholds())
    expected = synthesis.means(symbols, 18, 27), synthesis.table_ids(symbols, 18, 27, thresholds)

    def check(other: IntegerHyperSynthesis, given_symbols: Symbols) -> None:
        np.testing.assert_array_equal(other.means(given_symbols, 18, 27), expected[0])
        np.testing.assert_array_equal(other.table_ids(given_symbols, 18, 27, thresholds), expected[1])

    num_threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            with torch.backends.mkldnn.flags(enabled=count == 1), torch.autocast("cpu", enabled=count == 2):
                check(synthesis, symbols)
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"):
            check(IntegerHyperSynthesis.from_state(synthesis.state()), symbols)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(num_threads)
    monkeypatch.setattr(integer_convolution, "BAND_BYTES", 1)
    check(synthesis, symbols)
    check(*shuffled(synthesis, symbols))


def shuffled(synthesis: IntegerHyperSynthesis, symbols: Symbols) -> tuple[IntegerHyperSynthesis, Symbols]:
    """The same function with all its hidden channels in another order: other orders of summation."""
    orders = [np.random.default_rng(seed).permutation(HYPER_CHANNELS) for seed in range(3)]
    layers = (synthesis.up1, synthesis.up2, synthesis.head)
    first, second, head = (layer.weights for layer in layers)
    return IntegerHyperSynthesis(
        IntegerConvolution(first[orders[0]][:, orders[1]], layers[0].biases[orders[1]], HYPER_LIMIT),
        IntegerConvolution(second[orders[1]][:, orders[2]], layers[1].biases[orders[2]], ACTIVATION_LIMIT),
        IntegerConvolution(head[:, orders[2]], layers[2].biases, ACTIVATION_LIMIT),
        synthesis.weight_bits,
        synthesis.activation_bits,
    ), symbols[orders[0]]


@given(st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_a_latent_of_any_size_is_the_upper_left_of_the_whole(height: int, width: int) -> None:
    synthesis = quantized(make_network(), [10.0, 10.0])
    symbols = make_symbols(1, -(-height // 4), -(-width // 4))
    whole = synthesis.means(symbols, 4 * symbols.shape[1], 4 * symbols.shape[2])
    np.testing.assert_array_equal(synthesis.means(symbols, height, width), whole[:, :height, :width])


def in_python(synthesis: IntegerHyperSynthesis, symbols: Symbols) -> list[int]:
    """All sums of a network of one channel throughout, in Python's integers, row by row."""
    values = {place: int(value) for place, value in np.ndenumerate(symbols[0])}
    size = symbols.shape[1:]
    first, second = synthesis.activation_bits
    shifts = (synthesis.weight_bits[0] - first, synthesis.weight_bits[1] + first - second)
    for layer, shift in zip((synthesis.up1, synthesis.up2), shifts, strict=True):
        size = (2 * size[0], 2 * size[1])
        sums = dict.fromkeys(np.ndindex(*size), int(layer.biases[0]))
        for (row, column), value in values.items():
            for down, across in np.ndindex(5, 5):
                place = (2 * row + down - 2, 2 * column + across - 2)
                if place in sums:
                    sums[place] += value * int(layer.weights[0, 0, down, across])
        half = (1 << shift) >> 1
        values = {place: min(max((total + half) >> shift, 0), ACTIVATION_LIMIT) for place, total in sums.items()}
    head = synthesis.head
    return [
        int(head.biases[0])
        + sum(
            values.get((row + down - 1, column + across - 1), 0) * int(head.weights[0, 0, down, across])
            for down, across in np.ndindex(3, 3)
        )
        for row, column in np.ndindex(*size)
    ]


@given(st.integers(0, 2**32), st.integers(0, 25), st.integers(0, 25))
@settings(max_examples=20, deadline=None)
def test_each_step_is_what_python_s_integers_give(seed: int, first_shift: int, second_shift: int) -> None:
    """Also at halves, at the clamps and with sums near the limit of exactness."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-WEIGHT_LIMIT, WEIGHT_LIMIT + 1, (1, 1, size, size)).astype(np.int16) for size in (5, 5, 3)]
    biases = [rng.integers(-(2**bits), 2**bits, 1) for bits in rng.choice([10, 30, 50], 3)]
    limits = (HYPER_LIMIT, ACTIVATION_LIMIT, ACTIVATION_LIMIT)
    layers = [IntegerConvolution(*layer) for layer in zip(weights, biases, limits, strict=True)]
    synthesis = IntegerHyperSynthesis(*layers, (first_shift, second_shift, 0), (0, 0))
    symbols = rng.integers(-HYPER_LIMIT, HYPER_LIMIT + 1, (1, 2, 3)).astype(np.int32) >> int(rng.integers(0, 15))
    sums = in_python(synthesis, symbols)
    thresholds = np.sort(np.array([*rng.choice(sums, 20), *rng.integers(-(2**40), 2**40, 20)]))
    table_ids = synthesis.table_ids(symbols, 8, 12, thresholds).ravel()
    assert table_ids.tolist() == [sum(int(threshold) <= total for threshold in thresholds) for total in sums]
    means = synthesis.means(symbols, 8, 12).ravel().astype(np.float64) * 2**MEAN_BITS
    # No bits of fraction: a sum is 2**10 steps of a mean, cut at +-2**13.
    assert means.tolist() == [min(max(total << MEAN_BITS, -MEAN_LIMIT), MEAN_LIMIT) for total in sums]


def test_hyper_symbols_beyond_the_limit_count_as_the_limit() -> None:
    synthesis = quantized(make_network(), [10.0, 10.0])
    symbols = make_symbols(2)
    symbols[0, 0], symbols[1, 1] = 2**31 - 1, -(2**31)
    clamped = np.clip(symbols, -HYPER_LIMIT, HYPER_LIMIT)
    np.testing.assert_array_equal(synthesis.means(symbols, 20, 28), synthesis.means(clamped, 20, 28))


def test_a_fresh_network_without_an_activation_range_is_near_the_float_one_too() -> None:
    network, symbols = make_network(gain=1.0), make_symbols()
    synthesis = quantized(network, [0.0, 0.0])
    expected = float_outputs(network, symbols)
    assert float(network.activation_range.max()) < 16 * UNSEEN_PEAK
    assert np.abs(synthesis.means(symbols, 20, 28) - expected).max() < 2e-3


def test_activations_may_be_well_above_their_range() -> None:
    network, symbols = make_network(), make_symbols()
    expected = float_outputs(network, symbols)
    synthesis = quantized(network, (network.activation_range / 12).tolist())
    assert np.abs(synthesis.means(symbols, 20, 28) - expected).max() < 1e-3 * expected.std() + 2.0**-MEAN_BITS


@pytest.mark.parametrize("weight_gain", [0.0, 1e-30, 1e-6, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("bias", [0.0, 1e-30, 1.0, -1e6, 1e30, -3e38])
@pytest.mark.parametrize("peak", [0.0, 1e-30, 1.0, 1e30])
def test_any_finite_network_has_an_exact_form(weight_gain: float, bias: float, peak: float) -> None:
    network = make_network()
    with torch.no_grad():
        for layer in (network.up1, network.up2, network.head):
            layer.weight *= weight_gain
            layer.bias.fill_(bias)
    synthesis = quantized(network, [peak, peak])
    means = synthesis.means(make_symbols(0, 1, 1), 4, 4)
    assert np.isfinite(means).all()
    assert synthesis.table_ids(make_symbols(0, 1, 1), 4, 4, synthesis.fixed_point(scale_thresholds())).max() <= 63
    restored = IntegerHyperSynthesis.from_state(synthesis.state())
    np.testing.assert_array_equal(restored.means(make_symbols(0, 1, 1), 4, 4), means)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["weight", "bias", "activation_range"])
def test_what_is_not_finite_is_refused(where: str, value: float) -> None:
    network = make_network()
    activation_range = [1.0, value] if where == "activation_range" else [1.0, 1.0]
    if where != "activation_range":
        with torch.no_grad():
            getattr(network.up2, where)[0] = value
    with pytest.raises(ValueError, match="diverged"):
        quantized(network, activation_range)


def test_thresholds_are_integers_within_the_sums() -> None:
    synthesis = quantized(make_network(), [10.0, 10.0])
    integers = synthesis.fixed_point(scale_thresholds())
    np.testing.assert_allclose(integers / 2.0**synthesis.output_bits, scale_thresholds(), rtol=1e-6)
    assert synthesis.fixed_point(np.array([1e200]))[0] == SUM_LIMIT


def test_state_round_trip() -> None:
    synthesis = quantized(make_network(), [10.0, 10.0])
    state = synthesis.state()
    assert {array.dtype.name for array in state.values()} == {"int16", "int32", "int64"}
    restored = IntegerHyperSynthesis.from_state(state)
    for name, array in restored.state().items():
        np.testing.assert_array_equal(array, state[name])
    with pytest.raises(KeyError):
        IntegerHyperSynthesis.from_state({name: array for name, array in state.items() if name != "head.biases"})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("up1.weights", np.full((12, 12, 5, 5), -32768, np.int16)),
        ("up1.weights", np.zeros((12, 12, 5, 5), np.int32)),
        ("up1.weights", np.zeros((12, 12, 5, 5), np.float32)),
        ("up1.weights", np.zeros((12, 11, 5, 5), np.int16)),
        ("up2.weights", np.zeros((12, 12, 3, 3), np.int16)),
        ("up2.weights", np.zeros((11, 12, 5, 5), np.int16)),
        ("head.weights", np.zeros((10, 11, 3, 3), np.int16)),
        ("head.weights", np.zeros((12, 10, 5, 5), np.int16)),
        ("head.biases", np.full(10, 2**60, np.int64)),
        ("head.biases", np.zeros(11, np.int64)),
        ("weight_bits", np.array([1, 2], np.int32)),
        ("weight_bits", np.array([5, 501, 5], np.int32)),
        ("weight_bits", np.array([1.0, 2.0, 3.0])),
        ("activation_bits", np.array(3, np.int32)),
        ("activation_bits", np.array([40, 40], np.int32)),
    ],
)
def test_a_state_that_no_network_gives_is_refused(name: str, array: NDArray[np.generic]) -> None:
    state = quantized(make_network(), [10.0, 10.0]).state()
    with pytest.raises(ValueError, match="integer"):
        IntegerHyperSynthesis.from_state({**state, name: array})


MEASURE = """
import resource
import numpy as np
from hific.entropy.integer_convolution import IntegerConvolution
from hific.entropy.integer_hyper_synthesis import ACTIVATION_LIMIT, HYPER_LIMIT, IntegerHyperSynthesis

shapes = [(96, 96, 5, 5), (96, 96, 5, 5), (96, 96, 3, 3)]
limits = [HYPER_LIMIT, ACTIVATION_LIMIT, ACTIVATION_LIMIT]
layers = [IntegerConvolution(np.full(shape, 9, np.int16), np.zeros(96, np.int64), limit)
          for shape, limit in zip(shapes, limits, strict=True)]
synthesis = IntegerHyperSynthesis(*layers, (12, 12, 12), (10, 10))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
synthesis.means(np.ones((96, 63, 94), np.int32), 250, 375)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_24_megapixels_take_little_memory() -> None:
    """Of which the result and the activations of two layers, in float32, are 80 MB."""
    printed = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True).stdout
    assert float(printed) < 300


def test_hyper_symbols_of_another_size_are_refused() -> None:
    synthesis = quantized(make_network(), [10.0, 10.0])
    for height, width in ((21, 28), (20, 29), (16, 28)):
        with pytest.raises(ValueError, match="hyper-latents"):
            synthesis.means(make_symbols(), height, width)
