"""Convolutions in exact integers, held in float64.

Every product and every sum, in whatever order it is taken, is an integer below 2**53, so float64 rounds none of them:
any thread count, block size, library or processor gives the same bits. That this holds is proved when a layer is made,
by the largest sum that its weights can give. All of it are matrix products, the one thing that every library computes
as a sum of products (a convolution could be a Winograd or Fourier transform, which is not exact).

    transposed, 5x5, stride 2:   out[2m + a, 2n + b] = sum_de weights[a + 2 - 2d, b + 2 - 2e] in[m + d, n + e]
                                 a, b: 0 or 1, the phase; d, e: -1..1 for phase 0, 0..1 for phase 1
    plain, 3x3:                  out[m, n] = sum_de weights[d + 1, e + 1] in[m + d, n + e], d, e: -1..1

Each phase is a plain convolution over a window of at most 3x3 inputs; a band of rows at a time has its windows laid
side by side, and is multiplied by the phase's matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WEIGHT_LIMIT = (1 << 15) - 1
# Half of what float64 holds, so that adding a half before rounding is exact too.
SUM_LIMIT = 1 << 52
# Of a band's windows in memory; one row is always taken whole.
BAND_BYTES = 16 << 20

_TRANSPOSED_KERNEL, _PLAIN_KERNEL = 5, 3
# What phase and window row (0..2 for d = -1..1) take from the kernel: 5 taps are dealt to phases 0 and 1, 3 to phase 0.
_TRANSPOSED_TAPS = ((4, 2, 0), (None, 3, 1))
_PLAIN_TAPS = ((0, 1, 2),)


@dataclass(frozen=True)
class IntegerConvolution:
    """A layer. Raises ValueError where its sums could leave the exact range.

    weights: int16 of -32767..32767, [in, out, 5, 5] (transposed, stride 2, output twice the input) or [out, in, 3, 3]
    (plain, zero padding); biases: int64 [out]; input_limit: the largest absolute value of an input.
    """

    weights: NDArray[np.int16]
    biases: NDArray[np.int64]
    input_limit: int

    def __post_init__(self) -> None:
        if self.weights.dtype != np.int16 or self.biases.dtype != np.int64:
            raise ValueError("integer convolution: weights are int16, biases int64")
        if self.weights.ndim != 4 or self.weights.shape[2:] not in (((_TRANSPOSED_KERNEL,) * 2), (_PLAIN_KERNEL,) * 2):
            raise ValueError(f"integer convolution: kernels are 5x5 or 3x3; the weights' shape is {self.weights.shape}")
        if 0 in self.weights.shape or self.biases.shape != (self.num_outputs,):
            raise ValueError(f"integer convolution: biases {self.biases.shape} for weights {self.weights.shape}")
        if (self.weights < -WEIGHT_LIMIT).any():
            raise ValueError(f"integer convolution: weights lie in -{WEIGHT_LIMIT}..{WEIGHT_LIMIT}")
        if largest_sum(self.weights, self.biases, self.input_limit) >= SUM_LIMIT:
            raise ValueError("integer convolution: its sums could exceed 2**52, where they would not be exact")

    @property
    def transposed(self) -> bool:
        return _is_transposed(self.weights)

    @property
    def stride(self) -> int:
        """Output rows per input row."""
        return 2 if self.transposed else 1

    @property
    def num_inputs(self) -> int:
        return self.weights.shape[0 if self.transposed else 1]

    @property
    def num_outputs(self) -> int:
        return self.weights.shape[1 if self.transposed else 0]

    def apply(self, padded: Tensor, finish: Callable[[Tensor], Tensor], output: Tensor) -> None:
        """Fills `output` [out, s h, s w], of any type, with finish(sums) of an input [in, h + 2, w + 2] that has a
        border of zeros.

        `finish` takes sums float64 [out, rows, columns], which it may overwrite, value by value.
        """
        height, width = padded.shape[1] - 2, padded.shape[2] - 2
        row_bytes = 9 * self.num_inputs * width * 8
        rows = max(1, BAND_BYTES // row_bytes)
        for first in range(0, height, rows):
            windows = _windows(padded[:, first : first + rows + 2])
            num_rows = min(rows, height - first)
            for row_phase, column_phase, sums in self._sums(windows):
                step = self.stride
                lines = slice(step * first + row_phase, step * (first + num_rows), step)
                output[:, lines, column_phase::step] = finish(sums.view(self.num_outputs, num_rows, width))

    def _sums(self, windows: Tensor) -> Iterator[tuple[int, int, Tensor]]:
        """(row phase, column phase, sums [out, positions]) from windows [3, 3, in, positions]."""
        biases = torch.from_numpy(self.biases).double()[:, None]
        for row_phase, column_phase, matrices in self._phases:
            sums = biases.repeat(1, windows.shape[-1])
            for row, first_column, matrix in matrices:
                sums.addmm_(matrix, windows[row, first_column:].flatten(0, 1))
            yield row_phase, column_phase, sums

    @cached_property
    def _phases(self) -> list[tuple[int, int, list[tuple[int, int, Tensor]]]]:
        """(row phase, column phase, its matrices): (window row, first window column, [out, columns * in]) each."""
        taps = _TRANSPOSED_TAPS if self.transposed else _PLAIN_TAPS
        # [kernel rows, kernel columns, out, in]
        kernel = self.weights.transpose((2, 3, 1, 0) if self.transposed else (2, 3, 0, 1)).astype(np.float64)
        phases = []
        for row_phase, row_taps in enumerate(taps):
            for column_phase, column_taps in enumerate(taps):
                columns = [tap for tap in column_taps if tap is not None]
                matrices = [
                    (row, 3 - len(columns), torch.from_numpy(np.concatenate(kernel[tap, columns], axis=1)))
                    for row, tap in enumerate(row_taps)
                    if tap is not None
                ]
                phases.append((row_phase, column_phase, matrices))
        return phases


def largest_sum(weights: NDArray[np.int16], biases: NDArray[np.int64], input_limit: int) -> int:
    """No sum of any of an output's terms, for any inputs within the limit, is larger than this."""
    inputs_and_taps = (0, 2, 3) if _is_transposed(weights) else (1, 2, 3)
    norms = np.abs(weights.astype(np.int64)).sum(axis=inputs_and_taps).tolist()
    # Python's integers: nonsense from a damaged state must not wrap around.
    return max(norm * input_limit + abs(bias) for norm, bias in zip(norms, biases.tolist(), strict=True))


def zero_bordered(channels: int, height: int, width: int) -> Tensor:
    """[channels, height + 2, width + 2] of zeros, float32: exact for integers up to 2**24, half the memory."""
    return torch.zeros(channels, height + 2, width + 2, dtype=torch.float32, device="cpu")


def _is_transposed(weights: NDArray[np.int16]) -> bool:
    return weights.shape[-1] == _TRANSPOSED_KERNEL


def _windows(padded: Tensor) -> Tensor:
    """float64 [3, 3, in, rows * columns]: what each position sees, of [in, rows + 2, columns + 2]."""
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    windows = padded.unfold(1, height, 1).unfold(2, width, 1).permute(1, 2, 0, 3, 4)
    return windows.to(torch.float64, memory_format=torch.contiguous_format).flatten(3)
