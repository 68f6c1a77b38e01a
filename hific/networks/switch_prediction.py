"""The Switch Prediction Network: where the encoder's maxima were, guessed from the decoder's map (section 3.1.3).

Both heads take the map before the last expansion, [B, k, H/2, W/2], and give a prediction per channel and window.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

SpnHead = Literal["logits", "paper"]


class LogitSwitchPrediction(nn.Module):
    """Four logits a channel: 3x3 conv k-k, ReLU, 3x3 conv to 4k. Output [B, 4, k, h, w].

    The paper's single number in [0, 1] calls top-right and bottom-left neighbors, though they are diagonal; four
    classes have no such order. On switches of random features regression reached .27-.28 accuracy, this .39.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.out = nn.Conv2d(channels, 4 * channels, 3, padding=1, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(features))).unflatten(1, (4, features.shape[1]))

    @staticmethod
    def switches(prediction: Tensor) -> Tensor:
        """The likeliest switch, int64 [B, k, h, w].

        Logits are rounded to 2^-10 first and ties go to the lowest number, so that differences in the last bits
        between machines rarely move a pixel.
        """
        top_left, top_right, bottom_left, bottom_right = torch.round(prediction.float() * 1024).unbind(1)
        # Three comparisons: argmax over a strided axis takes a quarter of a training step on a CPU.
        top, bottom = torch.maximum(top_left, top_right), torch.maximum(bottom_left, bottom_right)
        in_top, in_bottom = (top_right > top_left).long(), 2 + (bottom_right > bottom_left).long()
        return torch.where(bottom > top, in_bottom, in_top)


class ScalarSwitchPrediction(nn.Module):
    """The paper's head: one 3x3 conv and a sigmoid, [B, k, h, w]; classes by the thresholds .25, .5 and .75."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        return torch.sigmoid(self.out(features))

    @staticmethod
    def switches(prediction: Tensor) -> Tensor:
        """The class of each prediction, int64 [B, k, h, w], after rounding to 2^-10."""
        steps = torch.round(prediction.float() * 1024).to(torch.int64)
        return (steps >= 256).to(torch.int64) + (steps >= 512).to(torch.int64) + (steps >= 768).to(torch.int64)


def switch_prediction(head: SpnHead, channels: int) -> LogitSwitchPrediction | ScalarSwitchPrediction:
    """The network of the chosen head."""
    return LogitSwitchPrediction(channels) if head == "logits" else ScalarSwitchPrediction(channels)
