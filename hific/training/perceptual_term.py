"""The perceptual term of a training loss, or its absence with a reason."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from hific.errors import WeightsNotFoundError
from hific.losses.perceptual import AlexNetPerceptualLoss, FrozenFeatureLoss, LPIPSLoss

log = logging.getLogger(__name__)

PerceptualKind = Literal["conv4", "lpips_alex", "none"]


def perceptual_term(
    kind: PerceptualKind, weights_dir: str | Path | None = None, *, download: bool = False, required: bool = True
) -> FrozenFeatureLoss | None:
    """`conv4`: the paper's (eq. 3); `lpips_alex`; or none.

    Where the pretrained weights are not found, that is an error if they are `required`; else a warning, and the
    model trains without the term (its checkpoint and every report made of it say so).
    """
    if kind == "none":
        return None
    try:
        if kind == "conv4":
            return AlexNetPerceptualLoss(weights_dir, download=download)
        return LPIPSLoss("alex", weights_dir, download=download)
    except WeightsNotFoundError as error:
        if required:
            raise
        log.warning("training without the perceptual term, reconstructions will be blurrier: %s", error)
        return None
