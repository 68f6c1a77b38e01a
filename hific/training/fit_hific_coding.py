"""What HiFiC's files are coded with, from whole photos, when training has ended; the caller puts the model at rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from hific.codecs.hyperprior_coding import HyperpriorCoding, clip_hyper_symbols, rounded
from hific.codecs.pixels import from_unit_range
from hific.context.fit_neighbors import TrainingLatent
from hific.context.fit_refinement import PATCH, Patches, RefinementFit
from hific.context.neighborhood import VALUE_LIMIT
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.geometry import pad_to_multiple
from hific.training.predictors import share_of_rank


def fit_peaks(model: HyperpriorAutoencoder, photos: Iterable[Tensor]) -> None:
    """The ranges of the hyper-syntheses' activations: crops know too much of borders."""
    networks = (model.mean_synthesis, model.scale_synthesis)
    for network in networks:
        network.peaks = torch.zeros(2)
    for photo in photos:
        hyper_latent_hat = model.predict(_latent(model, photo)).hyper_latent.round()
        for network in networks:
            network.widen_peaks(hyper_latent_hat)


def training_latents(
    model: HyperpriorAutoencoder, coding: HyperpriorCoding, photos: Iterable[Tensor]
) -> list[TrainingLatent]:
    """Of this rank's share of photos, the symbols that their files would hold."""
    return [_training_latent(model, coding, photo) for photo in share_of_rank(photos)]


def refinement_patches(
    fit: RefinementFit, reconstruct: Callable[[Tensor], Tensor], photos: Iterable[Tensor]
) -> list[Patches]:
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
