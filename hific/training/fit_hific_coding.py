"""What HiFiC's files are coded with, from whole photos, when training has ended; the caller puts the model at rest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hific.codecs.hyperprior_codec import HyperpriorCodec
from hific.codecs.hyperprior_coding import HyperpriorCoding, clip_hyper_symbols, rounded
from hific.codecs.load import load_codec
from hific.context.fit_neighbors import NeighborFit, TrainingLatent
from hific.context.neighbor_model import NeighborModel
from hific.context.neighborhood import VALUE_LIMIT
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.option_error import OptionError
from hific.ops.padding import pad_to_multiple
from hific.training.fit_neighbor_model import fit_neighbor_model, share_of_rank


def load_base(path: str, model: HyperpriorAutoencoder) -> HyperpriorCodec:
    """The codec of a base checkpoint, whose weights `model` takes over. OptionError where it is of another size."""
    codec = load_codec(path)
    if not isinstance(codec, HyperpriorCodec) or codec.model.arguments != model.arguments:
        raise OptionError(f"base_checkpoint={path} is not of this model's size: choose size= and model.model.* as it")
    model.load_state_dict(codec.model.state_dict())
    return codec


def fit_peaks(model: HyperpriorAutoencoder, photos: Iterable[Tensor]) -> None:
    """The ranges of the hyper-syntheses' activations: crops know too much of borders."""
    networks = (model.mean_synthesis, model.scale_synthesis)
    for network in networks:
        network.peaks = torch.zeros(2)
    for photo in photos:
        hyper_latent_hat = model.predict(_latent(model, photo)).hyper_latent.round()
        for network in networks:
            network.widen_peaks(hyper_latent_hat)


def fit_neighbor(
    fit: NeighborFit, model: HyperpriorAutoencoder, coding: HyperpriorCoding, photos: Iterable[Tensor]
) -> NeighborModel | None:
    """From the symbols that files of the photos would hold; see `fit_neighbor_model`."""
    latents = [_training_latent(model, coding, photo) for photo in share_of_rank(photos)]
    channels = model.latent_channels
    return fit_neighbor_model(partial(fit, tables=coding.latent_tables, num_channels=channels), latents)


def _training_latent(model: HyperpriorAutoencoder, coding: HyperpriorCoding, photo: Tensor) -> TrainingLatent:
    latent = _latent(model, photo)
    hyper_latent = model.hyper_analysis(latent)[0].cpu().numpy()
    prediction = coding.predict(clip_hyper_symbols(hyper_latent), *latent.shape[2:])
    symbols = rounded(latent[0].cpu().numpy(), prediction.means)
    return TrainingLatent(np.clip(symbols, -VALUE_LIMIT, VALUE_LIMIT).astype(np.int16), prediction.table_ids)


def _latent(model: HyperpriorAutoencoder, photo: Tensor) -> Tensor:
    return model.analyze(pad_to_multiple(photo, model.stride, model.minimum_size))
