"""Features that tell how different two images look, small enough to travel with the package.

A student of AlexNet: its outputs are trained (experiments/campaign/distill_features.py) to differ between an image and
its reconstruction as AlexNet's do, weighted as LPIPS weighs them (Zhang et al. 2018) and as CompressNet's perceptual
loss takes them (section 3.1, equation 3). An encoder that searches goes by it; it measures nothing, and no decoder
needs it.

    x [B, 3, H, W] ─ c11s4, ReLU ─ pool ─ 2 x (c3, ReLU) ─ pool ─ 2 x (c3, ReLU) ─ c3, ReLU
                          └ unit length, 1x1  └ unit length, 1x1     └ unit length, 1x1  └ 1x1
                          64 at 1/4           192 at 1/8             384 at 1/16         256 at 1/16 (conv4)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

# Of the outputs that stand for LPIPS, whose features have lengths of a few hundredths.
LPIPS_SCALE = 20.0
SMALLEST_SIDE = 31  # pixels, that two poolings leave something of


class PerceptualFeatures(nn.Module):
    """Images [B, 3, H, W] in [0, 1], H and W at least 31, to features of three scales and those of conv4."""

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 160)) -> None:
        super().__init__()
        quarter, eighth, sixteenth = widths
        self.quarter = nn.Conv2d(3, quarter, 11, stride=4, padding=2)
        self.eighth = _two_convolutions(quarter, eighth)
        self.sixteenth = _two_convolutions(eighth, sixteenth)
        self.last = nn.Conv2d(sixteenth, sixteenth, 3, padding=1)
        outputs = zip((quarter, eighth, sixteenth, sixteenth), (64, 192, 384, 256), strict=True)
        self.heads = nn.ModuleList(nn.Conv2d(inner, outer, 1) for inner, outer in outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        quarter = relu(self.quarter((2 * images - 1).contiguous(memory_format=torch.channels_last)))
        eighth = self.eighth(max_pool2d(quarter, 3, 2))
        sixteenth = self.sixteenth(max_pool2d(eighth, 3, 2))
        lengths = (_unit_length(features) for features in (quarter, eighth, sixteenth))
        inner = (*lengths, relu(self.last(sixteenth)))
        return tuple(head(features) for head, features in zip(self.heads, inner, strict=True))


def distances(features: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """What stands for LPIPS-Alex (without its last layer) and for the mean squared difference after conv4: scalars."""
    *scales, conv4 = ((found.float() - due.float()).square() for found, due in zip(features, target, strict=True))
    lpips = torch.stack([one.sum(dim=1).mean() for one in scales]).sum() / LPIPS_SCALE**2
    return lpips, conv4.mean()


def _two_convolutions(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU(), nn.Conv2d(outer, outer, 3, padding=1), nn.ReLU()
    )


def _unit_length(features: Tensor) -> Tensor:
    """Over the channels, times the root of their number."""
    return features * torch.rsqrt(features.square().mean(dim=1, keepdim=True) + 1e-8)
