"""The symbols of the latest training batches, from which the coding tables are fitted whenever a checkpoint is saved.

So every checkpoint can code, the one after Ctrl-C at step 20 too, and without a calibration pass. The history is no
module buffer (buffers that change shape break resuming), but is stored in the checkpoint beside the weights.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Latent = npt.NDArray[np.int8]
"""Symbols of one image, [C, h, w]."""
SwitchCounts = list[npt.NDArray[np.int64]]


class SymbolHistory:
    """The last `capacity` latents as int8 [C, h, w] symbols, and how often each switch occurred.

    Under DDP every rank appends the gathered symbols of all ranks, and so all ranks hold the same history.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self.latents: deque[Latent] = deque(maxlen=capacity)
        self.switch_counts: SwitchCounts | None = None

    def append(self, symbols: Tensor) -> None:
        """Adds a batch of symbols, int [B, C, h, w]."""
        self.latents.extend(symbols.to(torch.int8).cpu().numpy())

    def add_switch_counts(self, counts: list[Tensor]) -> None:
        """Adds int64 counts [k, 4], a tensor a scale."""
        arrays = [count.cpu().numpy() for count in counts]
        self.switch_counts = (
            arrays
            if self.switch_counts is None
            else [old + new for old, new in zip(self.switch_counts, arrays, strict=True)]
        )

    def state_dict(self) -> dict[str, Any]:
        """Tensors and lists only, so that it loads with `weights_only=True`."""
        return {
            "latents": [torch.from_numpy(latent.copy()) for latent in self.latents],
            "switch_counts": None if self.switch_counts is None else [torch.from_numpy(c) for c in self.switch_counts],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.latents.clear()
        self.latents.extend(latent.numpy() for latent in state["latents"])
        counts = state["switch_counts"]
        self.switch_counts = None if counts is None else [count.numpy() for count in counts]


def count_switches(switches: Tensor) -> Tensor:
    """[B, k, h, w] with values 0..3 -> how often each occurs in each channel, int64 [k, 4]."""
    return torch.stack([(switches == place).sum(dim=(0, 2, 3)) for place in range(4)], dim=1)
