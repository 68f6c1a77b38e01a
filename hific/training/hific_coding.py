"""What HiFiC's files are coded with, from whole photos, when training has ended; the caller puts the model into eval
mode. All that training knows of HiFiC's coding is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from hific.codecs.hyperprior_coding import HyperpriorCoding, clip_hyper_symbols, rounded
from hific.codecs.pixels import from_unit_range
from hific.context.fit_neighbors import TrainingLatent
from hific.context.fit_refinement import PATCH, Patches, RefinementFit
from hific.context.neighborhood import VALUE_LIMIT
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.geometry import pad_to_multiple
from hific.training.fitting import FittedCoding, Fitting, Photos, Stopwatch, fit_to_all, share_of_rank
from hific.training.levels import to_256_levels


def make_hific_coding(model: HyperpriorAutoencoder) -> HyperpriorCoding:
    """Of the model as it is, by its activation ranges."""
    return HyperpriorCoding.from_model(model)


def fit_activation_ranges(model: HyperpriorAutoencoder, photos: Iterable[Tensor]) -> None:
    """From whole photos: crops know too much of borders."""
    networks = (model.mean_synthesis, model.scale_synthesis)
    for network in networks:
        network.activation_range.zero_()
    for photo in photos:
        hyper_latent_hat = model.predict(_latent(model, photo)).hyper_latent.round()
        for network in networks:
            network.widen_activation_range(hyper_latent_hat)


def fit_hific_coding(
    fitting: Fitting, model: HyperpriorAutoencoder, synthesis: nn.Module, coding: HyperpriorCoding, photos: Photos
) -> FittedCoding:
    """The context model from the symbols that `coding` leads to, the post-filter from what `synthesis` makes of them.
    None of them on other ranks than the first."""
    watch = Stopwatch()
    context_model, postfilter = fitting.context_model, fitting.postfilter
    if context_model.fit is not None:
        latents = [_training_latent(model, coding, photo) for photo in share_of_rank(photos(context_model.num_photos))]
        fit = partial(context_model.fit, tables=coding.latent_tables, num_channels=model.latent_channels)
        with watch:
            coding = replace(coding, neighbor=fit_to_all("context_model", fit, latents))
    if postfilter.fit is not None:
        reconstruct = partial(reconstruct_hific, model, synthesis)
        patches = _patches(postfilter.fit, reconstruct, photos(postfilter.num_photos))  # type: ignore[arg-type]
        with watch:
            coding = replace(coding, refinement=fit_to_all("postfilter", postfilter.fit, patches))
    return FittedCoding(coding, watch.seconds)


@torch.no_grad()
def reconstruct_hific(model: HyperpriorAutoencoder, synthesis: nn.Module, batch: Tensor) -> Tensor:
    """Images [B, 3, H, W] of any size in [0, 1] -> reconstructions at 256 levels, in [0, 1]."""
    height, width = batch.shape[-2:]
    latent = _latent(model, batch)
    latent_hat = model.quantize(latent, model.predict(latent))
    return to_256_levels(synthesis(latent_hat).float()[..., :height, :width])


def _patches(fit: RefinementFit, reconstruct: Callable[[Tensor], Tensor], photos: Iterable[Tensor]) -> list[Patches]:
    """Of this rank's share of photos, and their reconstructions."""
    large = ((index, photo) for index, photo in enumerate(photos) if min(photo.shape[-2:]) >= PATCH)
    return [
        fit.patches(index, from_unit_range(reconstruct(photo)), from_unit_range(photo))
        for index, photo in share_of_rank(large)
    ]


def _training_latent(model: HyperpriorAutoencoder, coding: HyperpriorCoding, photo: Tensor) -> TrainingLatent:
    latent = _latent(model, photo)
    hyper_latent = model.hyper_analysis(latent)[0].cpu().numpy()
    prediction = coding.predict(clip_hyper_symbols(hyper_latent), *latent.shape[2:])
    symbols = rounded(latent[0].cpu().numpy(), prediction.means)
    return TrainingLatent(np.clip(symbols, -VALUE_LIMIT, VALUE_LIMIT).astype(np.int16), prediction.table_ids)


def _latent(model: HyperpriorAutoencoder, photo: Tensor) -> Tensor:
    return model.analyze(pad_to_multiple(photo, model.stride, model.minimum_size))
