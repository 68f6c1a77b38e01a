"""What CompressNet's files are coded with, from whole photos or from training's latest latents. All that training knows
of CompressNet's coding is here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hific.codecs.compressnet_coding import CompressNetCoding, centered_tables, channel_ids
from hific.context.fit_neighbors import TrainingLatent
from hific.models.compressnet import CompressNet
from hific.ops.geometry import pad_to_multiple
from hific.training.fitting import FittedCoding, Fitting, Photos, Stopwatch, fit_to_all, share_of_rank
from hific.training.levels import to_256_levels
from hific.training.symbol_history import Latent, SwitchCounts


def make_compressnet_coding(
    model: CompressNet, latents: Sequence[Latent], switch_counts: SwitchCounts | None
) -> CompressNetCoding:
    return CompressNetCoding.fit(latents, switch_counts, num_channels=model.latent_channels)


def fit_compressnet_coding(
    fitting: Fitting, model: CompressNet, coding: CompressNetCoding, photos: Photos
) -> FittedCoding:
    """The context model from the symbols of photos; none on other ranks than the first."""
    watch = Stopwatch()
    context_model = fitting.context_model
    if context_model.fit is not None:
        middle = coding.static_tables.shape[1] // 2
        latents = [
            TrainingLatent(latent.astype(np.int16) - middle, channel_ids(latent.shape))
            for latent in symbols_of(model, share_of_rank(photos(context_model.num_photos)))
        ]
        tables = centered_tables(coding.static_tables)
        fit = partial(context_model.fit, tables=tables, num_channels=model.latent_channels)
        with watch:
            coding = replace(coding, neighbor=fit_to_all("context_model", fit, latents))
    return FittedCoding(coding, watch.seconds)


@torch.no_grad()
def symbols_of(model: CompressNet, photos: Iterable[Tensor]) -> list[Latent]:
    """Each image [1, 3, H, W] in [0, 1] as its symbols, int8 [C, H/16, W/16]."""
    padded = (pad_to_multiple(2 * photo - 1, model.stride, model.minimum_size) for photo in photos)
    quantized = (model.quantize(model.analyze(image).latent) for image in padded)
    return [one.symbols[0].to(torch.int8).cpu().numpy() for one in quantized]


@torch.no_grad()
def reconstruct_compressnet(model: CompressNet, batch: Tensor) -> Tensor:
    """Images [B, 3, H, W] of any size in [0, 1] -> reconstructions at 256 levels, in [0, 1]."""
    height, width = batch.shape[-2:]
    padded = pad_to_multiple(2 * batch - 1, model.stride, model.minimum_size)
    reconstruction = model(padded).reconstruction[..., :height, :width]
    return to_256_levels((reconstruction + 1) / 2)
