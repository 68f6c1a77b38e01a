"""CompressNet's own terms: the layer loss of the stacked auto-encoder, the loss of the switch prediction network.

Where a window's maximum occurs twice (nearly always: all four are zero after the ReLU), its switch is arbitrary: such
windows count neither in the loss nor in the accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
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


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is true; 0 (with zero gradients) where it is true nowhere."""
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def switch_prediction_loss(prediction: Tensor, switches: Tensor, tied: Tensor) -> Tensor:
    """Mean over un-tied windows: cross-entropy of the four logits [B, 4, k, h, w], or for the paper's head [B, k, h, w]
    the squared distance to the middle (.125, .375, .625, .875) of the class's interval.

    `switches` int64 and `tied` bool: [B, k, h, w].
    """
    if prediction.ndim == 5:
        errors = F.cross_entropy(prediction.float(), switches, reduction="none")
    else:
        errors = (prediction.float() - (switches.float() + 0.5) / 4).square()
    return masked_mean(errors, ~tied)


def switch_accuracy(predicted: Tensor, switches: Tensor, tied: Tensor) -> Tensor:
    """Share of un-tied windows whose switch is predicted; chance is .25."""
    return masked_mean((predicted == switches).float(), ~tied)
