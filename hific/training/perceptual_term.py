"""The perceptual term of a training loss, or its absence with a reason."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, get_args

from hific.errors import OptionError, WeightsNotFoundError
from hific.losses.perceptual import AlexNetPerceptualLoss, FrozenFeatureLoss, LPIPSLoss

log = logging.getLogger(__name__)

PerceptualKind = Literal["conv4", "lpips_alex", "none"]


def perceptual_term(
    kind: PerceptualKind, weights_dir: str | Path | None = None, *, download: bool = False, required: bool = True
) -> FrozenFeatureLoss | None:
    """`conv4`: the paper's (eq. 3); `lpips_alex`; or none.

    Where the pretrained weights are not found, that is an error if they are `required` or a folder is named; else a
    warning, and the model trains without the term (its checkpoint and every report made of it say so).

    Raises:
        OptionError: no such kind, or no such folder.
        WeightsNotFoundError: see above.
    """
    if kind not in get_args(PerceptualKind):
        raise OptionError(f"perceptual={kind} is none of {', '.join(get_args(PerceptualKind))}")
    if weights_dir is not None and not Path(weights_dir).expanduser().is_dir():
        raise OptionError(f"weights.dir={weights_dir}: there is no such folder")
    if kind == "none":
        return None
    try:
        if kind == "conv4":
            return AlexNetPerceptualLoss(weights_dir, download=download)
        return LPIPSLoss("alex", weights_dir, download=download)
    except WeightsNotFoundError as error:
        if required or weights_dir is not None:
            raise
        log.warning("training without the perceptual term, reconstructions will be blurrier: %s", error)
        return None
