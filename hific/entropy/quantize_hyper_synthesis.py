"""A trained hyper-synthesis to its exact integer form. Made when a checkpoint is saved; stored, never made anew.

Each layer's weights share a power of two, the largest that keeps them within 16 bits. Ranges of activations come from
running maxima of training, so no calibration pass is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from hific.entropy.integer_convolution import SUM_LIMIT, WEIGHT_LIMIT, IntegerConvolution, largest_sum
from hific.entropy.integer_hyper_synthesis import ACTIVATION_LIMIT, HYPER_LIMIT, IntegerHyperSynthesis

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
