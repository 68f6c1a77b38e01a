"""What the Switch Prediction Network learns from: the encoder's switches, where they mean something.

Where a window's maximum occurs twice (nearly always: all four are zero after the ReLU), its switch is arbitrary; such
windows count neither in the loss nor in the accuracy.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


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
