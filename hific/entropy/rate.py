"""Likelihoods to bits."""

from __future__ import annotations

import math

from torch import Tensor


def estimated_bpp(likelihoods: tuple[Tensor, ...], num_pixels: int) -> Tensor:
    """-log2 of all likelihoods, summed, over `num_pixels` (of the whole batch); a float32 scalar.

    An estimate: `bpp` is a file's bytes.
    """
    bits = sum(-likelihood.float().log().sum() for likelihood in likelihoods)
    assert isinstance(bits, Tensor)
    return bits / (math.log(2) * num_pixels)
