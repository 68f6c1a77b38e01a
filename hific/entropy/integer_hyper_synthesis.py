"""The hyper-synthesis in exact integers: what steers the coder is the same on every machine (Ballé et al. 2019).

    hyper symbols  ─ up1 ─ sums ─ round to activation_bits[0] ─ up2 ─ sums ─ round to activation_bits[1] ─ head ─ sums
    |z| <= 32767           0 .. 2**20 - 1                             0 .. 2**20 - 1

    sums [C, h, w], integers with `output_bits` of fraction ─┬─ round to 2**-10 ─ means, float32 (exactly)
                                                             └─ compare with integer thresholds ─ table ids, int32

An integer with b bits of fraction stands for integer / 2**b. Rounding drops bits: multiply by a power of two, add a
half, floor, clamp. It runs on the CPU, whatever device the model is on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hific.entropy.integer_convolution import SUM_LIMIT, WEIGHT_LIMIT, IntegerConvolution, largest_sum, zero_bordered

# Of hyper-symbols; no trained model comes near.
HYPER_LIMIT = (1 << 15) - 1
# Exact in float32, between layers; with 16-bit weights, layers of 1000 channels stay below 2**52.
ACTIVATION_LIMIT = (1 << 20) - 1
# Means: multiples of 2**-10 below 2**13, exact in float32's 24 bits.
MEAN_BITS = 10
MEAN_LIMIT = (1 << 23) - 1

LAYERS = ("up1", "up2", "head")
# Of fraction, either way: far from where float64's powers of two end, above what float32 networks can lead to.
MAX_BITS = 500
_INPUT_LIMITS = (HYPER_LIMIT, ACTIVATION_LIMIT, ACTIVATION_LIMIT)


@dataclass(frozen=True)
class IntegerHyperSynthesis:
    """Made by `quantize_hyper_synthesis`. Raises ValueError for layers that do not fit one another.

    weight_bits, activation_bits: bits of fraction of the three layers' weights and of the two activations.
    """

    up1: IntegerConvolution
    up2: IntegerConvolution
    head: IntegerConvolution
    weight_bits: tuple[int, int, int]
    activation_bits: tuple[int, int]

    def __post_init__(self) -> None:
        if not (self.up1.transposed and self.up2.transposed) or self.head.transposed:
            raise ValueError("integer hyper-synthesis: two 5x5 layers and a 3x3 layer are due")
        if self.up1.num_outputs != self.up2.num_inputs or self.up2.num_outputs != self.head.num_inputs:
            raise ValueError("integer hyper-synthesis: its layers have other channels than their neighbors")
        if (self.up1.input_limit, self.up2.input_limit, self.head.input_limit) != _INPUT_LIMITS:
            raise ValueError("integer hyper-synthesis: its layers are for other inputs than their neighbors give")
        bits = (*self.weight_bits, *self.activation_bits)
        if len(bits) != 5 or max(map(abs, bits)) > MAX_BITS or min(self._shifts) < 0:
            raise ValueError(f"integer hyper-synthesis: bits of fraction {self.weight_bits}, {self.activation_bits}")

    @property
    def hyper_channels(self) -> int:
        return self.up1.num_inputs

    @property
    def latent_channels(self) -> int:
        return self.head.num_outputs

    @property
    def output_bits(self) -> int:
        """Bits of fraction of the head's sums."""
        return self.weight_bits[2] + self.activation_bits[1]

    @property
    def _shifts(self) -> tuple[int, int]:
        """Bits that are dropped behind up1 and up2."""
        first, second = self.activation_bits
        return self.weight_bits[0] - first, self.weight_bits[1] + first - second

    def means(self, hyper_symbols: NDArray[np.int32], height: int, width: int) -> NDArray[np.float32]:
        """float32 [C, height, width], multiples of 2**-10 within +-2**13."""
        shift = self.output_bits - MEAN_BITS

        def finish(sums: Tensor) -> Tensor:
            return _rounded(sums, shift).clamp_(-MEAN_LIMIT, MEAN_LIMIT).mul_(2.0**-MEAN_BITS)

        return self._run(hyper_symbols, height, width, finish, torch.float32).numpy()

    def table_ids(
        self, hyper_symbols: NDArray[np.int32], height: int, width: int, thresholds: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """int32 [C, height, width]: how many of the rising `thresholds` each output reaches; see `fixed_point`."""
        # Exact: below 2**53.
        bounds = torch.from_numpy(thresholds.astype(np.float64))

        def finish(sums: Tensor) -> Tensor:
            return torch.bucketize(sums, bounds, out_int32=True, right=True)

        return self._run(hyper_symbols, height, width, finish, torch.int32).numpy()

    def fixed_point(self, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rising thresholds of an output to integers as its sums are."""
        scaled = np.rint(thresholds * 2.0**self.output_bits)
        return np.clip(scaled, -SUM_LIMIT, SUM_LIMIT).astype(np.int64)

    @torch.inference_mode()
    def _run(
        self,
        hyper_symbols: NDArray[np.int32],
        height: int,
        width: int,
        finish: Callable[[Tensor], Tensor],
        dtype: torch.dtype,
    ) -> Tensor:
        """[C, height, width] of hyper symbols int32 [N, ceil(height / 4), ceil(width / 4)], clamped to HYPER_LIMIT."""
        if hyper_symbols.shape != (self.hyper_channels, -(-height // 4), -(-width // 4)):
            raise ValueError(
                f"{self.hyper_channels} hyper-latents at a quarter of {height}x{width}: {hyper_symbols.shape}"
            )
        activations = zero_bordered(*hyper_symbols.shape)
        _inner(activations).copy_(torch.from_numpy(np.clip(hyper_symbols, -HYPER_LIMIT, HYPER_LIMIT)))
        for layer, shift in zip((self.up1, self.up2), self._shifts, strict=True):
            outputs = zero_bordered(layer.num_outputs, *(2 * length for length in _inner(activations).shape[1:]))
            layer.apply(activations, _relu_rounded(shift), _inner(outputs))
            activations = outputs
        result = torch.empty(self.latent_channels, height, width, dtype=dtype, device="cpu")
        self.head.apply(activations[:, : height + 2, : width + 2], finish, result)
        return result

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain int16, int32 and int64 arrays for a checkpoint."""
        state: dict[str, NDArray[np.integer]] = {}
        for name in LAYERS:
            layer = getattr(self, name)
            state |= {f"{name}.weights": layer.weights, f"{name}.biases": layer.biases}
        state["weight_bits"] = np.array(self.weight_bits, np.int32)
        state["activation_bits"] = np.array(self.activation_bits, np.int32)
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.integer]]) -> IntegerHyperSynthesis:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        up1, up2, head = (
            IntegerConvolution(np.asarray(state[f"{name}.weights"]), np.asarray(state[f"{name}.biases"]), limit)
            for name, limit in zip(LAYERS, _INPUT_LIMITS, strict=True)
        )
        weight_bits, activation_bits = (np.asarray(state[name]) for name in ("weight_bits", "activation_bits"))
        if (weight_bits.shape, activation_bits.shape) != ((3,), (2,)) or {
            weight_bits.dtype.kind,
            activation_bits.dtype.kind,
        } != {"i"}:
            raise ValueError("integer hyper-synthesis: bits of fraction are rows of three and two integers")
        return cls(up1, up2, head, tuple(weight_bits.tolist()), tuple(activation_bits.tolist()))


def _relu_rounded(shift: int) -> Callable[[Tensor], Tensor]:
    return lambda sums: _rounded(sums, shift).clamp_(0, ACTIVATION_LIMIT)


def _rounded(sums: Tensor, shift: int) -> Tensor:
    """Sums with `shift` bits less: the nearest integers, a half going up. In place."""
    return sums.mul_(2.0**-shift).add_(0.5).floor_()


def _inner(padded: Tensor) -> Tensor:
    return padded[:, 1:-1, 1:-1]


# How far above its peak in training an activation may go unclamped; 16 of its 20 bits lie below the peak.
HEADROOM = 16.0
# Of a model that has seen nothing, whose activation range is 0.
UNSEEN_PEAK = 4.0
# What is below 2**-40 of a weight or an activation is nothing.
_MOST_BITS = 40

# (weight, bias) of a convolution
Parameters = tuple[Tensor, Tensor]


def quantize_hyper_synthesis(
    up1: Parameters, up2: Parameters, head: Parameters, activation_range: Sequence[float] | Tensor
) -> IntegerHyperSynthesis:
    """From the parameters of two transposed 5x5 convolutions and a 3x3 one, on any device, and the largest activation
    behind each of the first two, 0 where unknown. Raises ValueError where any is not finite.
    """
    first_peak, second_peak = (float(peak) for peak in activation_range)
    layer1, weight_bits1 = _quantized(*up1, 0, HYPER_LIMIT)
    # No finer than the sums that they are rounded from.
    bits1 = min(_activation_bits(first_peak), weight_bits1)
    layer2, weight_bits2 = _quantized(*up2, bits1, ACTIVATION_LIMIT)
    bits2 = min(_activation_bits(second_peak), weight_bits2 + bits1)
    layer3, weight_bits3 = _quantized(*head, bits2, ACTIVATION_LIMIT)
    return IntegerHyperSynthesis(layer1, layer2, layer3, (weight_bits1, weight_bits2, weight_bits3), (bits1, bits2))


def _quantized(weight: Tensor, bias: Tensor, input_bits: int, input_limit: int) -> tuple[IntegerConvolution, int]:
    """The layer and its weights' bits of fraction: as many as 16 bits hold, fewer where its sums would not be exact."""
    weights, biases = (values.detach().cpu().double().numpy() for values in (weight, bias))
    if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
        raise ValueError("the hyperprior's weights are not finite: the training has diverged")
    bits = _bits_within(WEIGHT_LIMIT, float(np.abs(weights).max()))
    while True:
        integers = np.rint(weights * 2.0**bits).astype(np.int16)
        scaled_biases = np.rint(biases * 2.0 ** (bits + input_bits))
        if np.abs(scaled_biases).max() < SUM_LIMIT:
            integer_biases = scaled_biases.astype(np.int64)
            if largest_sum(integers, integer_biases, input_limit) < SUM_LIMIT:
                return IntegerConvolution(integers, integer_biases, input_limit), bits
        bits -= 1


def _activation_bits(peak: float) -> int:
    if not math.isfinite(peak):
        raise ValueError("the hyperprior's activations are not finite: the training has diverged")
    return _bits_within(ACTIVATION_LIMIT, HEADROOM * (peak if peak > 0 else UNSEEN_PEAK))


def _bits_within(limit: int, largest: float) -> int:
    """The most bits of fraction with which `largest` is no integer above `limit`."""
    return _MOST_BITS if largest == 0 else min(_MOST_BITS, math.floor(math.log2(limit / largest)))
