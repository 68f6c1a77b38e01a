"""Discriminators: PatchGANs of CompressNet and gc; HiFiC's, conditional on the latent, and one that judges features.

    latent_hat [B, C, h, w] ─ c3-12 ─ LeakyReLU ─ nearest x16 ─┐
    image [B, 3, H, W] ────────────────────────────────────────┴─ c4s2-64 ─ 128 ─ 256 ─ c4s1-512 ─ c4s1-1

Every convolution under spectral norm, also the latent's and the last (2,800,797 parameters at C = 220).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from hific.errors import OptionError
from hific.layers.blocks import Activation, activation_layer


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


DiscriminatorNorm = Literal["spectral", "instance"]
CONDITION_CHANNELS = 12


class ConditionalPatchDiscriminator(nn.Module):
    """Image [B, 3, H, W] in [-1, 1] and latent [B, C, H/16, W/16] -> lists of logit maps and of features, one a scale.

    Args:
        widths: of the convolutions before the last; all but the final one halve the resolution.
        latent_channels: C.
        conditional: whether D sees the latent (hific_xgboost, section 3.3; an ablation).
        normalization: `spectral` on every convolution, or `instance` behind all but the first and the last.
        activation: `leaky_relu` is the paper's.
        scales: 1 in the paper; 2 adds an equal D on the image averaged down by 2 (pix2pixHD).
    """

    def __init__(
        self,
        widths: Sequence[int],
        latent_channels: int,
        conditional: bool = True,
        normalization: DiscriminatorNorm = "spectral",
        activation: Activation = "leaky_relu",
        scales: int = 1,
    ) -> None:
        super().__init__()
        if scales < 1 or not widths or normalization not in ("spectral", "instance"):
            raise OptionError(f"scales={scales}, widths={list(widths)}, normalization={normalization!r} make no D")
        self.condition = _condition(latent_channels, normalization, activation) if conditional else None
        inputs = 3 + (CONDITION_CHANNELS if conditional else 0)
        self.scales: Any = nn.ModuleList(_trunk(inputs, widths, normalization, activation) for _ in range(scales))

    def forward(self, image: Tensor, latent_hat: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Logit maps, full resolution first, and the feature maps before each scale's last convolution."""
        with _weights_once(self, image.device):
            return self._judge(image, latent_hat)

    def _judge(self, image: Tensor, latent_hat: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        judged = image
        if self.condition is not None:
            judged = _beside(image, self.condition(_latent_of_each(image, latent_hat)))
        logits: list[Tensor] = []
        features: list[Tensor] = []
        for index, trunk in enumerate(self.scales):
            if index > 0:
                judged = F.avg_pool2d(judged, 3, stride=2, padding=1, count_include_pad=False)
            hidden = judged
            for layer in list(trunk)[:-1]:
                hidden = layer(hidden)
            features.append(hidden)
            logits.append(trunk[-1](hidden))
        return logits, features


class ProjectedDiscriminator(nn.Module):
    """Judges what a frozen, pretrained network sees in an image (Sauer et al. 2021), conditional on the latent.

    What textures are it need not learn. Every feature map, beside the latent, has a head of its own: c1-width,
    LeakyReLU, c3-width, LeakyReLU, c1-1, under spectral norm. Differs from the paper: the features are not mixed over
    channels and scales, at random, before the heads (untried here).

    Args:
        features: images [B, 3, H, W] in [-1, 1] to several maps; `features.channels` has the channels of each. It
            registers no parameters.
        latent_channels: C.
        width: of the heads.
        conditional: whether D sees the latent.
    """

    def __init__(self, features: Any, latent_channels: int, width: int = 64, conditional: bool = True) -> None:
        super().__init__()
        if width < 1:
            raise OptionError(f"width={width} must be 1 or more")
        self.features = features
        self.condition = _condition(latent_channels, "spectral", "leaky_relu") if conditional else None
        more = CONDITION_CHANNELS if conditional else 0
        self.heads = nn.ModuleList(_head(channels + more, width) for channels in features.channels)

    def forward(self, image: Tensor, latent_hat: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Logit maps, one a feature map, and the feature maps themselves."""
        maps: list[Tensor] = list(self.features(image))
        with _weights_once(self, image.device):
            judged = maps
            if self.condition is not None:
                condition = self.condition(_latent_of_each(image, latent_hat))
                judged = [_beside(one, condition) for one in maps]
            return [head(one) for head, one in zip(self.heads, judged, strict=True)], maps


@contextmanager
def _weights_once(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Weights under spectral norm are computed once in here. Their power iterations need float32, whatever the
    precision around them."""
    with parametrize.cached():
        with torch.autocast(device_type=device.type, enabled=False):
            for module in network.modules():
                if parametrize.is_parametrized(module):
                    module.weight  # noqa: B018
        yield


def _latent_of_each(image: Tensor, latent_hat: Tensor | None) -> Tensor:
    if latent_hat is None or len(latent_hat) != len(image):
        raise ValueError("a conditional discriminator needs the latent of every image, in the same order")
    return latent_hat


def _beside(maps: Tensor, condition: Tensor) -> Tensor:
    """Maps [B, M, H, W] and the condition [B, C, h, w], enlarged, to [B, M + C, H, W]."""
    return torch.cat((maps, F.interpolate(condition.to(maps.dtype), size=maps.shape[-2:], mode="nearest")), dim=1)


def _condition(latent_channels: int, normalization: DiscriminatorNorm, activation: Activation) -> nn.Sequential:
    conv = nn.Conv2d(latent_channels, CONDITION_CHANNELS, 3, padding=1)
    return nn.Sequential(_constrained(conv, normalization), activation_layer(activation))


def _trunk(
    inputs: int, widths: Sequence[int], normalization: DiscriminatorNorm, activation: Activation
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, outputs in enumerate(widths):
        stride = 1 if index == len(widths) - 1 else 2
        layers.append(_constrained(nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1), normalization))
        if normalization == "instance" and index > 0:
            layers.append(nn.InstanceNorm2d(outputs, affine=True))
        layers.append(activation_layer(activation))
        inputs = outputs
    layers.append(_constrained(nn.Conv2d(inputs, 1, 4, stride=1, padding=1), normalization))
    return nn.Sequential(*layers)


def _head(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(inputs, width, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )


def _constrained(conv: nn.Conv2d, normalization: DiscriminatorNorm) -> nn.Module:
    return spectral_norm(conv) if normalization == "spectral" else conv
