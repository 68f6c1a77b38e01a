"""An encoder that tells whether a decoder would read what it wrote, before the bytes are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hific.coding.range_coder import Ints, RangeDecoder, RangeEncoder


class SelfCheckError(RuntimeError):
    """What was encoded does not decode to itself. Never the input's fault; the bytes are not to be kept."""


class CheckedEncoder(RangeEncoder):
    """A RangeEncoder that remembers what it was asked to code, and with which frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self._coded: list[tuple[Callable[..., Ints], Ints, tuple[Any, ...]]] = []

    def code(self, symbols: Ints, frequencies: Ints) -> Ints:
        return self._noted(RangeDecoder.code, super().code(symbols, frequencies), frequencies)

    def code_grouped(self, symbols: Ints, table_ids: Ints, tables: Ints) -> Ints:
        return self._noted(
            RangeDecoder.code_grouped, super().code_grouped(symbols, table_ids, tables), table_ids, tables
        )

    def code_runs(self, symbols: Ints, run_lengths: Ints, frequencies: Ints, table_sizes: Ints) -> Ints:
        coded = super().code_runs(symbols, run_lengths, frequencies, table_sizes)
        return self._noted(RangeDecoder.code_runs, coded, run_lengths, frequencies, table_sizes)

    def code_bits(self, bits: Ints) -> Ints:
        return self._noted(RangeDecoder.code_bits, super().code_bits(bits))

    def decodes(self) -> bool:
        """Whether a decoder reads from `get_bytes` what was coded, and nothing more."""
        decoder = RangeDecoder(self.get_bytes())
        for code, symbols, arguments in self._coded:
            if not np.array_equal(code(decoder, np.zeros_like(symbols), *arguments), symbols):
                return False
        decoder.finish()
        return True

    def _noted(self, code: Callable[..., Ints], symbols: Ints, *arguments: Any) -> Ints:
        self._coded.append((code, symbols, arguments))
        return symbols
