"""What a family of models gives to the one codec: its transform, its prior, and what else its rows of a table are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from hific.codecs.base import Floats, Pixels
from hific.codecs.latent_coding import LatentCoding, Prior, UncodedLatent
from hific.ops.images import padded_size

if TYPE_CHECKING:
    from hific.codecs.learned_codec import LearnedCodec

Progress = Callable[[int, int], None]
"""(tiles done, tiles in all)"""


class PaddedSize(NamedTuple):
    width: int
    height: int


class Transform(Protocol):
    """A model's networks between pixels and latents, numpy in and out, on the model's device.

    max_pixels: of a padded image, unless a user chose another limit.
    """

    model: Any
    max_pixels: int

    @property
    def device(self) -> torch.device:
        """The model's."""
        found: torch.device = next(self.model.parameters()).device
        return found

    def padded(self, width: int, height: int) -> PaddedSize:
        """What an image is padded to, at the right and the bottom."""
        stride, minimum = self.model.stride, self.model.minimum_size
        return PaddedSize(padded_size(width, stride, minimum), padded_size(height, stride, minimum))

    def check_memory(self, width: int, height: int) -> None:
        """Raises TooLargeError where an image would take more memory than there is."""
        return None

    def blank(self, size: PaddedSize) -> UncodedLatent:
        """Zeros in the shapes that the latent of an image of that size has: what a decoder starts from."""
        ...

    def analyze(self, images: Sequence[Pixels], size: PaddedSize, progress: Progress) -> list[UncodedLatent]:
        """Of images uint8 [H, W, 3] of one size."""
        ...

    def synthesize(
        self, latent_hat: Floats, side_information: Sequence[NDArray[np.int8]], progress: Progress
    ) -> Pixels:
        """uint8 [H, W, 3], of the padded size."""
        ...


@dataclass(frozen=True)
class Variant:
    """One of the things that a model's files can be, and so a row of a table.

    Args:
        codec: makes the files.
        label: what distinguishes it from its kin, such as `tables` or `xgboost, post-filter`.
        reconstruct: pixels to a reconstruction that uses more than the bytes hold (an oracle); None decodes.
        extra_metrics: pixels to further numbers of the row that no reconstruction shows.
        is_control: not a use of the model, but what a use is compared with.
    """

    codec: LearnedCodec
    label: str
    reconstruct: Callable[[Pixels], Image.Image] | None = None
    extra_metrics: Callable[[Pixels], Mapping[str, float]] | None = None
    is_control: bool = False


@dataclass(frozen=True)
class Family:
    """One of `families.FAMILIES`.

    Args:
        name: its key there, and in files.
        model: its class; `arguments` of an instance are plain values that make another.
        transform: of a model and options.
        prior: of arrays as its `state()` gave; ValueError or KeyError for others.
        check: raises ValueError where a coding is for another model than the given.
        extra_metrics: see `Variant`; of the codec whose files are smallest. None for none.
        controls: variants besides those that each family has.
        refine: of a codec, an image and what the transform made of it: what the codec's options make of that.
    """

    name: str
    model: type[nn.Module]
    transform: Callable[[Any, Any], Transform]
    prior: Callable[[Mapping[str, NDArray[np.integer]]], Prior]
    check: Callable[[Any, LatentCoding], None]
    extra_metrics: Callable[[LearnedCodec, Pixels], Mapping[str, float]] | None = None
    controls: Callable[[LearnedCodec], Sequence[Variant]] = field(default=lambda codec: ())
    refine: Callable[[LearnedCodec, Pixels, UncodedLatent], UncodedLatent] = field(default=lambda codec, _, made: made)


@dataclass(frozen=True)
class Identity:
    """Who made a codec's files: the system's name in tables, SHA-256 of model and tables, plain values of its run."""

    name: str
    fingerprint: bytes
    training: Mapping[str, Any] = field(default_factory=dict)
