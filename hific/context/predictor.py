"""What a context model is: integers in, integer frequencies out. And the one traversal that codes with any of them.

for each pass:   canvas ─ features [n, F + 1] ─ predictor ─ frequencies [n, levels] ─ coder ─ symbols [n] ─ canvas
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import RangeCoder
from hific.context.coding_order import CodingPass, coding_order
from hific.context.window import Canvas, Features, Window, margin_for


class NeighborPredictor(Protocol):
    """Predicts the symbols of a pass, exactly: the same features give the same frequencies on every machine."""

    @property
    def levels(self) -> int:
        """Symbols are 0..levels-1."""
        ...

    @property
    def num_channels(self) -> int: ...

    def window(self, step: CodingPass) -> Window:
        """The known neighbors that the pass is predicted from."""
        ...

    def frequencies(self, step: CodingPass, features: Features) -> NDArray[np.int32]:
        """int32 [n, levels] from `Canvas.features` int16 [n, F + 1]; each row as of `normalize_counts`."""
        ...


def code_latent(coder: RangeCoder, symbols: NDArray[np.int32], predictor: NeighborPredictor) -> NDArray[np.int32]:
    """Codes a latent int32 [C, h, w] of 0..levels-1, either way; returns it. A decoder takes only the shape of it."""
    if len(symbols) != predictor.num_channels:
        raise ValueError(f"a latent of {len(symbols)} channels, the context model is for {predictor.num_channels}")
    steps = coding_order(predictor.num_channels)
    windows = [predictor.window(step) for step in steps]
    source = symbols[None]
    canvas = Canvas(source.shape, predictor.levels, margin_for(windows))
    for step, window in zip(steps, windows, strict=True):
        frequencies = predictor.frequencies(step, canvas.features(step, window))
        to_code = source[0, step.channel, step.row :: step.spacing, step.column :: step.spacing].ravel()
        canvas.put(step, coder.code(to_code, frequencies))
    return canvas.latents()[0]
