"""The ranges that the integer form of HiFiC's hyper-syntheses takes its activations from."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.geometry import pad_to_multiple


@torch.no_grad()
def fit_activation_ranges(model: HyperpriorAutoencoder, photos: Iterable[Tensor]) -> None:
    """Sets them from whole photos [1, 3, H, W] in [0, 1], in place: crops know too much of borders."""
    networks = (model.mean_synthesis, model.scale_synthesis)
    for network in networks:
        network.activation_range.zero_()
    for photo in photos:
        latent = model.analyze(pad_to_multiple(photo, model.stride, model.minimum_size))
        hyper_latent_hat = model.predict(latent).hyper_latent.round()
        for network in networks:
            network.widen_activation_range(hyper_latent_hat)
