"""Densities to the integer tables that code by them. Made once, when a checkpoint is saved; stored, never rebuilt.

A table has an entry for each integer that is likely enough, and an escape for the rest (`SymbolTables`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.symbol_tables import SymbolTables
from hific.entropy.densities import SMALLEST_SCALE, FactorizedPrior
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT

NUM_SCALES = 64
LARGEST_SCALE = 256.0
# What the escape stands for. Rarer values would get entries of 2**-16 that are dearer to all others than to escape.
TAIL_MASS = 2.0**-16
# A channel wider than this is not learned yet, and costs up to half more than it need.
MAX_HYPER_VALUES = 1 << 11

_COUNT_UNIT = 1 << 30


def latent_scales() -> NDArray[np.float64]:
    """The scales that latents are coded with: 64, from .11 to 256, each 13 % above the one before."""
    return np.geomspace(SMALLEST_SCALE, LARGEST_SCALE, NUM_SCALES)


def scale_thresholds() -> NDArray[np.float64]:
    """The 63 geometric means of neighbors in `latent_scales`: a scale is coded as the number of thresholds up to it."""
    scales = latent_scales()
    return np.sqrt(scales[:-1] * scales[1:])


def latent_tables() -> SymbolTables:
    """A table for each of `latent_scales`: the mass of a Gaussian around each integer."""
    offsets, rows = [], []
    for scale in latent_scales().tolist():
        reach = max(1, math.ceil(-NormalDist(sigma=scale).inv_cdf(TAIL_MASS / 2) - 0.5))
        rows.append(_gaussian_masses(reach, scale))
        offsets.append(-reach)
    return _tables(offsets, rows)


@torch.no_grad()
def hyper_tables(prior: FactorizedPrior) -> SymbolTables:
    """A table for each channel of the hyper-latent. Raises ValueError where the prior is not finite."""
    # A copy: float64 is computed on the CPU, the model stays where it is.
    prior = copy.deepcopy(prior).cpu()
    if not all(bool(parameter.isfinite().all()) for parameter in prior.parameters()):
        raise ValueError("the prior of the hyper-latent is not finite: the training has diverged")
    tail_logit = math.log(TAIL_MASS / 2) - math.log1p(-TAIL_MASS / 2)
    first = _first_above(prior, tail_logit)
    last = torch.maximum(_first_above(prior, -tail_logit), first)
    median = _first_above(prior, 0.0)
    centered = torch.minimum((median - MAX_HYPER_VALUES // 2).clamp(min=first), last - MAX_HYPER_VALUES + 1)
    first = torch.maximum(first, centered)
    sizes = (last - first + 1).clamp(max=MAX_HYPER_VALUES)
    values = first[:, None] + torch.arange(int(sizes.max()), dtype=torch.float64, device="cpu")
    masses = prior.probabilities(values).numpy()
    return _tables(first.int().tolist(), [row[:size] for row, size in zip(masses, sizes.int().tolist(), strict=True)])


def frequencies(masses: NDArray[np.float64]) -> NDArray[np.int32]:
    """Masses float64 [n] of a table's entries to frequencies int32 [n + 1]; the last is the escape's, of what is left.

    Entries below 2**-16 get 2**-16, the others lose in proportion to what they have above it.
    """
    left = max(0.0, 1.0 - float(masses.sum()))
    above_least = np.maximum(np.append(masses, left) * TOTAL - 1, 0)
    return normalize_counts(np.rint(above_least * _COUNT_UNIT).astype(np.int64))


def _tables(offsets: Sequence[int], rows: Sequence[NDArray[np.float64]]) -> SymbolTables:
    sizes = np.array([len(row) for row in rows], np.int32)
    return SymbolTables(np.array(offsets, np.int32), sizes, np.concatenate([frequencies(row) for row in rows]))


def _gaussian_masses(reach: int, scale: float) -> NDArray[np.float64]:
    """Of the integers -reach..reach, for a mean of 0."""
    # On the left, where the cumulative keeps its digits; the right is its mirror image.
    edges = (torch.arange(-reach - 1, 1, dtype=torch.float64, device="cpu") + 0.5) / scale
    cumulative = 0.5 * torch.special.erfc(edges * -math.sqrt(0.5))
    masses = cumulative.diff().numpy()
    return np.concatenate([masses, masses[-2::-1]])


def _first_above(prior: FactorizedPrior, logit: float) -> Tensor:
    """The first integer of each channel at whose upper end, value + .5, the cumulative is above `logit`; float64
    [channels], within -HYPER_LIMIT..HYPER_LIMIT.
    """
    lower = torch.full((prior.channels, 1), -HYPER_LIMIT, dtype=torch.float64, device="cpu")
    upper = -lower
    while (upper > lower).any():
        middle = ((lower + upper) / 2).floor()
        above = prior.cumulative_logits(middle + 0.5) > logit
        upper = torch.where(above, middle, upper)
        lower = torch.where(above, lower, middle + 1).minimum(upper)
    return lower.squeeze(1)
