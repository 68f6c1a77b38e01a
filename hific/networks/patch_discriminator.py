"""PatchGAN discriminators of CompressNet: one number per patch, not per image (Isola et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """c4s2p1-w for each width, LeakyReLU 0.2, then c4s1p1-1 (compressnet, section 4.1: 64, 128, 192, 256, 512).

    [B, 3, H, W] in [-1, 1] -> a list with one map of logits. `features` of every LeakyReLU serve feature matching.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        inputs = [3, *widths[:-1]]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in zip(inputs, widths, strict=True))
        self.head = nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1)

    def forward(self, image: Tensor, latent_hat: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Logit maps (one), and the feature maps of all layers but the last. The latent is not looked at."""
        features: list[Tensor] = []
        hidden = image
        for conv in self.convs:
            hidden = F.leaky_relu(conv(hidden), 0.2)
            features.append(hidden)
        return [self.head(hidden)], features


class MultiScaleDiscriminator(nn.Module):
    """Equal PatchGANs on the image and on it averaged down by 2 (pix2pixHD, Wang et al. 2018; used by gc)."""

    def __init__(self, widths: Sequence[int], scales: int = 2) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(PatchDiscriminator(widths) for _ in range(scales))

    def forward(self, image: Tensor, latent_hat: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Logit maps of all scales, and their feature maps, full resolution first."""
        logits: list[Tensor] = []
        features: list[Tensor] = []
        for index, discriminator in enumerate(self.discriminators):
            if index > 0:
                image = F.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            scale_logits, scale_features = discriminator(image)
            logits += scale_logits
            features += scale_features
        return logits, features
