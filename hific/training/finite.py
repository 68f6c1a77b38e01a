"""A number that is not one stops the run, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hific.errors import NonFiniteError


def check_finite(terms: Mapping[str, Tensor], step: int) -> None:
    """Raises before an optimizer can spread a bad value into the weights. One synchronization for all terms."""
    values = torch.stack([term.detach().float() for term in terms.values()])
    finite = torch.isfinite(values).tolist()
    if not all(finite):
        bad = [f"{name} = {value}" for name, value, ok in zip(terms, values.tolist(), finite, strict=True) if not ok]
        raise NonFiniteError(
            f"at step {step}: {', '.join(bad)}. The weights are still those of the last good step; the last checkpoint "
            "is usable. A lower recipe.learning_rate or recipe.gradient_clip usually helps."
        )
