"""Latent codings of both families, and what they code; shared by the tests of streams and by the golden files."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
from context_cases import CASES, CHANNELS, any_latent, fitted, laplace_tables
from numpy.typing import NDArray

from benchmarks.correlated_latents import correlated_crops, correlated_latent
from hific.codecs.latent_coding import CodedLatent, LatentCoding, UncodedLatent
from hific.codecs.priors import HyperPrior, channel_ids, clip_hyper_symbols
from hific.coding.range_coder import RangeCoder, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.context_model import ContextModelFit
from hific.entropy.integer_convolution import IntegerConvolution
from hific.entropy.integer_hyper_synthesis import ACTIVATION_LIMIT, HYPER_LIMIT, IntegerHyperSynthesis
from hific.fitting.coding import fit_channel_tables
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.latent_coders.base import Prediction

HYPER_CHANNELS = 3
SWITCH_COUNTS = [np.array([[9, 1, 1, 1], [1, 1, 9, 5]]), np.array([[100, 0, 0, 1]])]
PRIORS = ("hyper", "channel")


def coding_of(prior: str, kind: str = "") -> LatentCoding:
    """With a context model of that kind, or none."""
    return hyper_coding(kind) if prior == "hyper" else channel_coding(kind)


@cache
def hyper_coding(kind: str = "") -> LatentCoding:
    """Three hyper-latent and five latent channels; four tables, of which the first is sure of 0."""
    thresholds = np.array([-4, 0, 8], np.int64) << 22
    prior = integer_prior(CHANNELS, thresholds, laplace_tables((2.0, 4.0, 0.5)), laplace_tables())
    return LatentCoding(prior, context_coded=fitted(kind) if kind else None)


@cache
def channel_coding(kind: str = "", num_channels: int = 3) -> LatentCoding:
    """Of five levels, and two scales of switches as side information."""
    crops = [crop.astype(np.int32) for crop in correlated_crops(20, num_channels=num_channels)]
    coding = fit_channel_tables(crops, SWITCH_COUNTS, num_channels=num_channels)
    return with_context_of_levels(coding, CASES[kind].fit) if kind else coding


def with_context_of_levels(coding: LatentCoding, fit: ContextModelFit) -> LatentCoding:
    """Fitted to latents like those of `correlated_crops`."""
    num_channels = coding.prior.latent_channels
    crops = correlated_crops(20, num_channels=num_channels)
    training = [TrainingLatent(crop.astype(np.int32) - 2, channel_ids(crop.shape)) for crop in crops]
    context_coded = ContextFit(fit, reach=2, side=5, max_windows=4000)(training, coding.prior.tables, num_channels)
    return replace(coding, context_coded=context_coded)


def integer_prior(
    latent_channels: int, thresholds: NDArray[np.int64], hyper_tables: SymbolTables, latent_tables: SymbolTables
) -> HyperPrior:
    """From integers only: a float network's form could differ from machine to machine."""
    rng = np.random.default_rng(0)
    mean_synthesis, scale_synthesis = (integer_synthesis(rng, latent_channels) for _ in range(2))
    return HyperPrior(mean_synthesis, scale_synthesis, thresholds, hyper_tables, latent_tables)


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


def message(prior: str, seed: int, height: int, width: int) -> UncodedLatent:
    """What the coding of that prior codes: all magnitudes that there can be, most as photos have them."""
    return hyper_message(seed, height, width) if prior == "hyper" else channel_message(seed, height, width)


def hyper_message(seed: int, height: int, width: int) -> UncodedLatent:
    """Many symbols about the last bins, some far beyond, also where a table is sure of 0."""
    rng = np.random.default_rng(seed)
    shape = (HYPER_CHANNELS, -(-height // 4), -(-width // 4))
    hyper_symbols = clip_hyper_symbols(rng.laplace(0, 4, shape) * rng.choice([1, 1, 1, 1000], shape))
    means = hyper_coding().prior.predict(hyper_symbols, height, width).means
    symbols = any_latent(seed, height, width, 1 << 22).symbols
    symbols = np.where(rng.random(symbols.shape) < 0.2, rng.integers(-11, 12, symbols.shape), symbols)
    return UncodedLatent(means + symbols.astype(np.float32), hyper_symbols)


def channel_message(seed: int, height: int, width: int) -> UncodedLatent:
    """Any switches; each second latent is of any symbols."""
    rng = np.random.default_rng(seed)
    planes = [rng.integers(0, 4, (len(counts), height << i, width << i)) for i, counts in enumerate(SWITCH_COUNTS)]
    symbols = correlated_latent(seed % 1000, 3, height, width).astype(np.float32) - 2
    if seed % 2:
        symbols = rng.integers(-2, 3, symbols.shape).astype(np.float32)
    return UncodedLatent(symbols, np.zeros((0, 0, 0), np.int32), tuple(plane.astype(np.int8) for plane in planes))


def encode(coding: LatentCoding, coder: str, source: UncodedLatent) -> bytes:
    encoder = RangeEncoder()
    coding.code(encoder, coding.coders[coder], source)
    return encoder.get_bytes()


def decode(coding: LatentCoding, coder: str, like: UncodedLatent, stream: bytes) -> CodedLatent:
    """Of a latent with the shapes of `like`."""
    decoder = RangeDecoder(stream)
    coded = coding.code(decoder, coding.coders[coder], blank_like(like))
    decoder.finish()
    return coded


def blank_like(source: UncodedLatent) -> UncodedLatent:
    planes = tuple(np.zeros_like(plane) for plane in source.side_information)
    return UncodedLatent(np.zeros_like(source.latent), np.zeros_like(source.hyper_symbols), planes)


def code_symbols(coding: LatentCoding, coder: str, range_coder: RangeCoder, coded: CodedLatent) -> CodedLatent:
    """As `coding` does behind its rounding, and without limits on what an encoder takes: streams that none writes."""
    latent = coded.symbols.astype(np.float32)
    source = UncodedLatent(latent, coded.hyper_symbols, coded.side_information)
    return _of_symbols(coding).code(range_coder, coding.coders[coder], source)


def encode_symbols(coding: LatentCoding, coder: str, coded: CodedLatent) -> bytes:
    encoder = RangeEncoder()
    code_symbols(coding, coder, encoder, coded)
    return encoder.get_bytes()


def _of_symbols(coding: LatentCoding) -> LatentCoding:
    prior = coding.prior
    kind = type("Of" + type(prior).__name__, (type(prior),), _FREE)
    parts = {field.name: getattr(prior, field.name) for field in fields(prior)}  # type: ignore[arg-type]
    return replace(coding, prior=kind(**parts))


def _predict_zeros(self: Any, hyper_symbols: NDArray[np.int32], height: int, width: int) -> Prediction:
    predicted = super(type(self), self).predict(hyper_symbols, height, width)
    return Prediction(predicted.table_ids, np.zeros_like(predicted.means))


_FREE: dict[str, Any] = {"lowest_symbol": -(2**31), "highest_symbol": 2**31 - 1, "predict": _predict_zeros}
