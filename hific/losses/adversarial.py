"""GAN losses over maps of discriminator logits, and feature matching.

vanilla: Goodfellow et al. 2014 (compressnet, eq. 3), generator in the non-saturating or the saturating form;
lsgan: Mao et al. 2017, with which the gc baseline is trained. Maps of several scales are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanLoss = Literal["vanilla", "saturating", "lsgan"]


def _mean_of_maps(terms: list[Tensor]) -> Tensor:
    return torch.stack([term.float().mean() for term in terms]).mean()


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor], kind: GanLoss) -> Tensor:
    """What D minimizes: -log D(x) - log(1 - D(x_hat)), or (D(x) - 1)^2 + D(x_hat)^2 for lsgan."""
    if kind == "lsgan":
        return _mean_of_maps([(r - 1).square() for r in real]) + _mean_of_maps([f.square() for f in fake])
    return _mean_of_maps([F.softplus(-r) for r in real]) + _mean_of_maps([F.softplus(f) for f in fake])


def generator_loss(fake: Sequence[Tensor], kind: GanLoss) -> Tensor:
    """What G minimizes: -log D(x_hat), log(1 - D(x_hat)) (`saturating`, eq. 3 to the letter) or (D(x_hat) - 1)^2."""
    if kind == "lsgan":
        return _mean_of_maps([(f - 1).square() for f in fake])
    if kind == "saturating":
        return _mean_of_maps([-F.softplus(f) for f in fake])
    return _mean_of_maps([F.softplus(-f) for f in fake])


def feature_matching_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of D's feature maps, averaged over layers and scales (pix2pixHD); D(x) is detached."""
    return _mean_of_maps([(f.float() - r.detach().float()).abs() for r, f in zip(real, fake, strict=True)])
