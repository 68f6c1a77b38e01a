"""Codings of both families with a neighbor model, shared by the tests of what they code and by the golden files."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from neighbor_cases import CHANNELS, fitted, laplace_tables, predictor_fit

from benchmarks.correlated_latents import correlated_crops
from hific.codecs.compressnet_coding import CompressNetCoding, centered_tables, channel_ids
from hific.codecs.hyperprior_coding import HyperpriorCoding
from hific.context.fit_neighbors import NeighborFit, PredictorFit, TrainingLatent
from hific.context.neighbor_model import NeighborModel
from hific.entropy.integer_convolution import IntegerConvolution
from hific.entropy.integer_hyper_synthesis import ACTIVATION_LIMIT, HYPER_LIMIT, IntegerHyperSynthesis

HYPER_CHANNELS = 3
SWITCH_COUNTS = [np.array([[9, 1, 1, 1], [1, 1, 9, 5]]), np.array([[100, 0, 0, 1]])]


@cache
def hific_coding(kind: str) -> HyperpriorCoding:
    """Three hyper-latent and five latent channels; four tables, of which the first is sure of 0."""
    rng = np.random.default_rng(0)
    return HyperpriorCoding(
        integer_synthesis(rng, CHANNELS),
        integer_synthesis(rng, CHANNELS),
        np.array([-4, 0, 8], np.int64) << 22,
        laplace_tables((2.0, 4.0, 0.5)),
        laplace_tables(),
        fitted(kind),
    )


@cache
def compressnet_coding(kind: str, num_channels: int = 3) -> CompressNetCoding:
    """Of five levels, and two scales of switches."""
    coding = CompressNetCoding.fit(correlated_crops(20, num_channels=num_channels), SWITCH_COUNTS)
    return replace(coding, neighbor=neighbor_of_levels(coding, predictor_fit(kind)))


def neighbor_of_levels(coding: CompressNetCoding, fit: PredictorFit) -> NeighborModel:
    """For latents like those of `correlated_crops`."""
    num_channels = len(coding.static_tables)
    crops = correlated_crops(20, num_channels=num_channels)
    training = [TrainingLatent(crop.astype(np.int32) - 2, channel_ids(crop.shape)) for crop in crops]
    neighbor_fit = NeighborFit(fit, reach=2, side=5, max_windows=4000)
    return neighbor_fit(training, centered_tables(coding.static_tables), num_channels)


def integer_synthesis(rng: np.random.Generator, latent_channels: int) -> IntegerHyperSynthesis:
    """Of 3 hyper-latent channels: weights of about 1/4, 12 bits; activations of 10 bits."""
    outputs = (HYPER_CHANNELS, HYPER_CHANNELS, latent_channels)
    limits = (HYPER_LIMIT, ACTIVATION_LIMIT, ACTIVATION_LIMIT)
    layers = [
        IntegerConvolution(
            rng.integers(-2000, 2001, (channels, HYPER_CHANNELS, side, side)).astype(np.int16),
            rng.integers(-5000, 5000, channels),
            limit,
        )
        for channels, side, limit in zip(outputs, (5, 5, 3), limits, strict=True)
    ]
    return IntegerHyperSynthesis(*layers, (12, 12, 12), (10, 10))
