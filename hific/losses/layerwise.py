"""L_SAE: the decoder's maps should be the encoder's, scale by scale (compressnet, eq. 3 and section 3.1.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def layerwise_loss(
    synthesis_features: Sequence[Tensor], analysis_features: Sequence[Tensor], detach_analysis: bool = True
) -> Tensor:
    """Mean squared difference of each pair of equal-shaped maps, summed over the scales; a float32 scalar.

    With `detach_analysis` the analysis is a fixed goal: otherwise its features can shrink to please this loss.
    """
    terms = [
        (decoded.float() - (encoded.detach() if detach_analysis else encoded).float()).square().mean()
        for decoded, encoded in zip(synthesis_features, analysis_features, strict=True)
    ]
    return torch.stack(terms).sum()
