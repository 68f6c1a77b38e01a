"""CompressNet's two transforms (compressnet, figures 2 and 3, section 4.1; widths 60, 120, 240, 480, 960 in the paper).

    x [B, 3, H, W] in [-1, 1]
      c7s1-60 - pool - d120 - pool - d240 - pool - d480 - pool - d960 - c3s1-C   -> latent [B, C, H/16, W/16]
            (scale 1)      (2)         (3)         (4)
      c3s1-960 - R960 x 9 - u480 - u240 - u120 - u60 - c7s1-3 - tanh             -> [B, 3, H, W] in [-1, 1]
                            (4)    (3)    (2)    (1)       (tanh is the model's)

Scale i is 1/2^i of the image: post-pool maps of the analysis and pre-expansion maps of the synthesis have equal shapes
[B, widths[i-1], H/2^i, W/2^i], and there the layer losses attach. Lists of maps run from scale 1 to scale 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hific.layers.blocks import Normalization, ResidualBlock, conv_block, run_blocks
from hific.layers.resampling import Pooled, Upsampling, max_pool_with_switches, max_unpool, upsampling_layer
from hific.networks.klt_initialization import CONTRAST, block_klt
from hific.networks.patch_transform import PatchAnalysis, PatchSynthesis

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


Downsampling = Literal["pool", "stride"]
SwitchesOfScale = Callable[[int, Tensor], Tensor]
"""(scale 1..4, the map to expand) -> int64 switches of that map's shape."""

SCALES = 4
# Standard deviation of latents at which five levels, 1 apart, lose least of a Gaussian (Max 1960: .843 of it apart).
FILLED = 1 / 0.843


class CompressNetAnalysis(nn.Module):
    """Image to latent. `downsampling="stride"` halves by stride-2 convolutions (gc) and has no pools.

    `switch_scales`: the first so many pools report their switches; noting them costs as much as the pool.
    """

    def __init__(
        self,
        widths: Sequence[int],
        latent_channels: int,
        normalization: Normalization,
        downsampling: Downsampling,
        switch_scales: int,
    ) -> None:
        super().__init__()
        self.channels_per_pixel = widths[0]
        self.pools = downsampling == "pool"
        self.switch_scales = switch_scales
        stride = 1 if self.pools else 2
        self.stem = conv_block(3, widths[0], 7, normalization)
        self.downs = nn.ModuleList(
            conv_block(widths[i], widths[i + 1], 3, normalization, stride) for i in range(SCALES)
        )
        self.head = nn.Conv2d(widths[-1], latent_channels, 3, padding=1, padding_mode="reflect")

    def forward(
        self, image: Tensor, note_switches: bool = True
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Pooled, ...]]:
        """The latent before quantization; the four post-pool maps (none with strides); pools with their switches,
        none where they are not noted."""
        features = self.stem(image)
        maps: list[Tensor] = []
        pools: list[Pooled] = []
        for index, down in enumerate(self.downs):
            if self.pools and note_switches and index < self.switch_scales:
                pools.append(max_pool_with_switches(features))
                features = pools[-1].values
            elif self.pools:
                features = F.max_pool2d(features, 2)
            if self.pools:
                maps.append(features)
            features = down(features)
        # No ReLU before the quantizer: it would waste the centers below zero.
        return self.head(features), tuple(maps), tuple(pools)


class CompressNetSynthesis(nn.Module):
    """Quantized latent to image.

    `switch_scales`: scales 1 to this one are expanded by switches (4 in swwae, 1 in sae_spn); all others double by
    `upsampling`. Each block convolves at the low resolution, then doubles.
    """

    recompute = False
    """Whether the backward pass computes activations of blocks anew, instead of their being kept."""
    is_bounded, is_local = True, False

    def __init__(
        self,
        widths: Sequence[int],
        latent_channels: int,
        residual_blocks: int,
        normalization: Normalization,
        upsampling: Upsampling,
        switch_scales: int,
    ) -> None:
        super().__init__()
        self.stem = conv_block(latent_channels, widths[-1], 3, normalization)
        self.blocks = nn.Sequential(*(ResidualBlock(widths[-1], normalization) for _ in range(residual_blocks)))
        self.convs = nn.ModuleDict()
        self.expansions = nn.ModuleDict()
        for scale in range(SCALES, 0, -1):
            channels = widths[scale - 1]
            self.convs[str(scale)] = conv_block(widths[scale], channels, 3, normalization)
            if scale > switch_scales:
                self.expansions[str(scale)] = upsampling_layer(upsampling, channels)
        self.head = nn.Conv2d(widths[0], 3, 7, padding=3, padding_mode="reflect")

    def forward(self, latent_hat: Tensor, switches_of: SwitchesOfScale) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The reconstruction, not yet bounded, and the maps before their expansion, scale 1 first."""
        features = run_blocks(self.blocks, self.stem(latent_hat), recompute=self.recompute)
        maps: list[Tensor] = []
        for scale in range(SCALES, 0, -1):
            features = run_blocks([self.convs[str(scale)]], features, recompute=self.recompute)
            maps.append(features)
            if str(scale) in self.expansions:
                features = self.expansions[str(scale)](features)
            else:
                features = max_unpool(features, switches_of(scale, features))
        return self.head(features), tuple(reversed(maps))


class PatchCompressNetAnalysis(PatchAnalysis):
    """The patch transform in the analysis's place: no pools, and so neither maps nor switches."""

    def forward(  # type: ignore[override]
        self, image: Tensor, note_switches: bool = True
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Pooled, ...]]:
        return super().forward((image + 1) / 2), (), ()


class PatchCompressNetSynthesis(PatchSynthesis):
    """And in the synthesis's."""

    is_bounded, is_local = False, True

    def forward(self, latent_hat: Tensor, switches_of: SwitchesOfScale) -> tuple[Tensor, tuple[Tensor, ...]]:  # type: ignore[override]
        return 2 * super().forward(latent_hat) - 1, ()


class LinearShortcut(nn.Module):
    """A linear transform around both networks: what a block transform would code, before their first batch.

    Not in the paper. Learned codecs train in half of the time with a wavelet transform beside their networks (Li et al.
    2025, "On Disentangled Training for Nonlinear Transform in Learned Image Compression"); a model of few batches is
    that much better. It begins as the Karhunen-Loève transform of 16x16 blocks under the model of images that
    networks/klt_initialization.py has, and may grow to overlap, 32x32; with latents that fill the quantizer's levels.
    """

    analysis_gains: Tensor
    synthesis_gains: Tensor

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        side, spare = 1 << SCALES, 1 << SCALES - 1
        rows, variances = block_klt(side, latent_channels)
        # Weights are around 1 and gains beside them, for Adam moves every weight by the same.
        scale = (3 * side**2) ** 0.5
        kernels = F.pad(rows.permute(0, 3, 1, 2) * scale, [spare] * 4).float()
        self.analysis, self.synthesis = nn.Parameter(kernels.clone()), nn.Parameter(kernels)
        # Of images in [-1, 1], which are twice as wide.
        gains = (FILLED / (2 * CONTRAST * variances.sqrt())).float()
        self.register_buffer("analysis_gains", gains / scale)
        self.register_buffer("synthesis_gains", 1 / gains / scale)
        self.stride, self.padding = side, spare

    def analyze(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] to [B, C, H/16, W/16]."""
        kernels = self.analysis * self.analysis_gains[:, None, None, None]
        return F.conv2d(image, kernels, stride=self.stride, padding=self.padding)

    def synthesize(self, latent_hat: Tensor) -> Tensor:
        """And back."""
        kernels = self.synthesis * self.synthesis_gains[:, None, None, None]
        return F.conv_transpose2d(latent_hat, kernels, stride=self.stride, padding=self.padding)
