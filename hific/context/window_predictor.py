"""What predicts a symbol's class from its neighborhood: integers in, integer frequencies out.

`features` are those of `Neighborhood.features`: the table id first, then the expected value and excess of the linear
summary, then pass, location and window. `margins`: int16 [T, classes] of `margins.margins_of`, what the tables
alone say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hific.context.margins import Ints

State = Mapping[str, NDArray[np.integer]]
Features = NDArray[np.int16]


class WindowPredictor(Protocol):
    """Exact: the same features give the same frequencies on every machine."""

    def frequencies(self, features: Features) -> Ints:
        """int32 [n, classes] of features int16 [n, F]; each row positive with a sum of 2**16."""
        ...

    def observe(self, features: Features, classes: Ints) -> None:
        """What the classes [n] turned out to be; for predictors that learn while coding."""
        ...

    def fresh(self) -> WindowPredictor:
        """As it was before any image; each latent is coded with one of its own."""
        ...

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays for a checkpoint."""
        ...
