"""The closed table of what CompressNet's analysis and synthesis may be, as networks/transforms.py has HiFiC's.

Both networks of a kind are called as `CompressNetAnalysis` and `CompressNetSynthesis` are. The synthesis says whether
its reconstruction takes a tanh (`is_bounded`), and whether both see nothing beyond their `halo` (`is_local`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from hific.errors import OptionError
from hific.layers.blocks import Normalization
from hific.layers.resampling import Upsampling
from hific.networks.compressnet import (
    SCALES,
    CompressNetAnalysis,
    CompressNetSynthesis,
    Downsampling,
    PatchCompressNetAnalysis,
    PatchCompressNetSynthesis,
)
from hific.networks.transforms import TransformSizes, checked_kind

Transform = Literal["pools", "patch"]
Analysis = CompressNetAnalysis | PatchCompressNetAnalysis
Synthesis = CompressNetSynthesis | PatchCompressNetSynthesis


@dataclass(frozen=True)
class TransformOptions:
    """switch_scales: 1 to this one are expanded by switches. begin_as_nothing: beside a transform around them."""

    widths: tuple[int, ...]
    latent_channels: int
    residual_blocks: tuple[int, ...]
    normalization: Normalization
    downsampling: Downsampling
    upsampling: Upsampling
    switch_scales: int
    begin_as_nothing: bool


@dataclass(frozen=True)
class TransformKind(TransformSizes):
    """make: both networks."""

    make: Callable[[TransformOptions], tuple[Analysis, Synthesis]]
    fewest_channels: ClassVar[int] = 1


def _make_pools(options: TransformOptions) -> tuple[Analysis, Synthesis]:
    widths, channels, (blocks,) = options.widths, options.latent_channels, options.residual_blocks
    scales = options.switch_scales
    analysis = CompressNetAnalysis(widths, channels, options.normalization, options.downsampling, scales)
    synthesis = CompressNetSynthesis(widths, channels, blocks, options.normalization, options.upsampling, scales)
    for head in (analysis.head, synthesis.head) if options.begin_as_nothing else ():
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return analysis, synthesis


def _make_patch(options: TransformOptions) -> tuple[Analysis, Synthesis]:
    if options.switch_scales or options.normalization != "none" or options.begin_as_nothing:
        raise OptionError("transform=patch goes with switches=none, normalization=none and no linear_shortcut")
    arguments = options.widths, options.latent_channels, options.residual_blocks
    return PatchCompressNetAnalysis(*arguments), PatchCompressNetSynthesis(*arguments)


TRANSFORMS: dict[str, TransformKind] = {
    "pools": TransformKind(SCALES + 1, 1, _make_pools),
    "patch": TransformKind(2, 2, _make_patch),
}


def make_transforms(
    transform: str,
    *,
    widths: Sequence[int],
    latent_channels: int,
    residual_blocks: int | Sequence[int],
    normalization: Normalization,
    downsampling: Downsampling,
    upsampling: Upsampling,
    switch_scales: int,
    begin_as_nothing: bool,
) -> tuple[Analysis, Synthesis]:
    """residual_blocks: as many at each scale that has some, or a number a scale.

    Raises:
        OptionError: no kind, or what it cannot be made of.
    """
    kind, blocks = checked_kind(TRANSFORMS, transform, widths, latent_channels, residual_blocks)
    return kind.make(
        TransformOptions(
            tuple(widths),
            latent_channels,
            blocks,
            normalization,
            downsampling,
            upsampling,
            switch_scales,
            begin_as_nothing,
        )
    )
