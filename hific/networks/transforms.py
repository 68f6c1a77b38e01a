"""The closed table of what an auto-encoder's analysis and synthesis may be.

A pair of networks is one kind: classes whose analysis has `head` (a convolution that makes the latent), `halo` (pixels
that a latent sees beyond its own 16x16, a multiple of 16) and `channels_per_pixel` (of the features that take most
memory), and whose synthesis has `entry` (the convolution that sees the latent) and `halo` (in latents). A new kind is
one file of networks and one line of `TRANSFORMS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from torch import Tensor

from hific.errors import OptionError
from hific.layers.blocks import Activation, Normalization
from hific.networks.hific import HificAnalysis, HificSynthesis
from hific.networks.klt_initialization import initialize_klt, initialize_patch_klt
from hific.networks.patch_transform import PatchAnalysis, PatchSynthesis

Transform = Literal["hific", "patch"]
Analysis = HificAnalysis | PatchAnalysis
Synthesis = HificSynthesis | PatchSynthesis
# Of what a checkpoint may ask for.
MOST_CHANNELS, MOST_BLOCKS = 1 << 14, 256


@dataclass(frozen=True)
class TransformOptions:
    """widths: from the finest scale down to 1/16; residual_blocks: of the scales that have some, likewise."""

    widths: tuple[int, ...]
    latent_channels: int
    residual_blocks: tuple[int, ...]
    normalization: Normalization
    activation: Activation


@dataclass(frozen=True)
class TransformSizes:
    """num_widths, num_blocks: scales that have a width, and that have residual blocks."""

    num_widths: int
    num_blocks: int
    fewest_channels: ClassVar[int] = 2  # a single one less its mean is nothing

    def checked(
        self, transform: str, widths: Sequence[int], latent_channels: int, residual_blocks: int | Sequence[int]
    ) -> tuple[int, ...]:
        """The residual blocks of each scale that has some; OptionError where numbers are others than this kind's, or
        more is asked for, by a checkpoint perhaps, than any model has."""
        channels, fewest = (*widths, latent_channels), self.fewest_channels
        if len(widths) != self.num_widths or not all(fewest <= one <= MOST_CHANNELS for one in channels):
            raise OptionError(
                f"transform={transform} takes {self.num_widths} widths, and these and latent_channels lie in "
                f"{fewest}..{MOST_CHANNELS}, not {list(widths)} and {latent_channels}"
            )
        blocks = (residual_blocks,) * self.num_blocks if isinstance(residual_blocks, int) else tuple(residual_blocks)
        if len(blocks) != self.num_blocks or not all(0 <= one <= MOST_BLOCKS for one in blocks):
            each = f"{self.num_blocks} numbers, or one for all scales" if self.num_blocks > 1 else "one number"
            raise OptionError(
                f"residual_blocks={residual_blocks}: transform={transform} takes {each}, each in 0..{MOST_BLOCKS}"
            )
        return blocks


@dataclass(frozen=True)
class TransformKind(TransformSizes):
    """make: both networks; initialize_klt: makes a linear transform coder of the untrained two, in place, and returns
    about the standard deviations [C] of latents in photos."""

    make: Callable[[TransformOptions], tuple[Analysis, Synthesis]]
    initialize_klt: Callable[[Any, Any], Tensor]


def _make_hific(options: TransformOptions) -> tuple[Analysis, Synthesis]:
    widths, channels, (blocks,) = options.widths, options.latent_channels, options.residual_blocks
    return (
        HificAnalysis(widths, channels, options.normalization),
        HificSynthesis(widths, channels, blocks, options.normalization, options.activation),
    )


def _make_patch(options: TransformOptions) -> tuple[Analysis, Synthesis]:
    if (options.normalization, options.activation) != ("none", "relu"):
        raise OptionError("transform=patch goes with normalization=none and activation=relu alone")
    arguments = options.widths, options.latent_channels, options.residual_blocks
    return PatchAnalysis(*arguments), PatchSynthesis(*arguments)


Kind = TypeVar("Kind", bound=TransformSizes)


def checked_kind(
    table: Mapping[str, Kind],
    transform: str,
    widths: Sequence[int],
    latent_channels: int,
    residual_blocks: int | Sequence[int],
) -> tuple[Kind, tuple[int, ...]]:
    """The table's kind of that name, and the residual blocks of each of its scales; OptionError as `checked`, and where
    there is none."""
    if transform not in table:
        raise OptionError(f"transform={transform!r} is none of {', '.join(table)}")
    kind = table[transform]
    return kind, kind.checked(transform, widths, latent_channels, residual_blocks)


TRANSFORMS: dict[str, TransformKind] = {
    "hific": TransformKind(5, 1, _make_hific, initialize_klt),
    "patch": TransformKind(2, 2, _make_patch, initialize_patch_klt),
}


def make_transforms(
    transform: str,
    *,
    widths: Sequence[int],
    latent_channels: int,
    residual_blocks: int | Sequence[int],
    normalization: Normalization,
    activation: Activation,
) -> tuple[Analysis, Synthesis]:
    """residual_blocks: as many at each scale that has some, or a number a scale.

    Raises:
        OptionError: no kind, or what it cannot be made of.
    """
    kind, blocks = checked_kind(TRANSFORMS, transform, widths, latent_channels, residual_blocks)
    return kind.make(TransformOptions(tuple(widths), latent_channels, blocks, normalization, activation))
