"""What a finished model makes of photos, from which its context model and its post-filter learn."""

from __future__ import annotations

import numpy as np

from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.pixels import Pixels
from hific.context.causal_context import VALUE_LIMIT
from hific.fitting.context_model import TrainingLatent
from hific.fitting.postfilter import PATCH, Patches, PostFilterFit


def training_latent(codec: LearnedCodec, pixels: Pixels) -> TrainingLatent:
    """The symbols that a file of uint8 [H, W, 3] holds."""
    coded, table_ids = codec.coding.quantize(codec.analyze([pixels])[0])
    return TrainingLatent(np.clip(coded.symbols, -VALUE_LIMIT, VALUE_LIMIT).astype(np.int16), table_ids)


def training_patches(codec: LearnedCodec, fit: PostFilterFit, index: int, pixels: Pixels) -> Patches:
    """Of what a file of the photo of that index, uint8 [H, W, 3], is decoded to, beside it. ValueError where
    `is_large_enough` is not."""
    return fit.patches(index, codec.reconstruct(pixels), pixels)


def is_large_enough(pixels: Pixels) -> bool:
    """Whether there are patches in it."""
    return min(pixels.shape[:2]) >= PATCH
