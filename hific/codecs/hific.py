"""HiFiC as a family: its networks in tiles, and how its checkpoints code.

image [H, W, 3] ─ pad to 16n ─ analysis, in tiles ─ latent [C, h, w] ── hyper-analysis ─ round ─ hyper-symbols
latent_hat [C, h, w] ─ synthesis, in tiles ─ image
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hific.codecs.base import Floats, Pixels
from hific.codecs.families import HificOptions
from hific.codecs.family import Family, PaddedSize, Progress
from hific.codecs.latent_coding import LatentCoding, UncodedLatent, blank_array
from hific.codecs.latent_refinement import Scene, Search
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.memory import DECODE_MAX_PIXELS, DEFAULT_MAX_PIXELS, check_tiled_memory
from hific.codecs.priors import SYMBOL_LIMIT, HyperPrior, clip_hyper_symbols
from hific.codecs.tiling import Place, TiledTransform
from hific.entropy.densities import gaussian_likelihoods
from hific.entropy.integer_hyper_synthesis import LAYERS
from hific.errors import OptionError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

# Of the features that a search goes by, which stand beside the rate weight up to it: beside low's 5 they cost PSNR that
# AVIF has (experiments/campaign/README.md).
FEATURES_WEIGHT_LIMIT = 2.5


class HificTransform(TiledTransform):
    """Equal to the untiled networks up to float rounding, whatever the tile."""

    def __init__(self, model: HyperpriorAutoencoder, options: HificOptions) -> None:
        # Statistics over the whole image cannot be had from tiles.
        tileable = model.normalization != "instance"
        self.model = model.eval().to(memory_format=torch.channels_last)
        self.tile = options.tile if tileable else 0
        self.precision = options.precision
        self.max_pixels = DECODE_MAX_PIXELS if tileable else DEFAULT_MAX_PIXELS

    def check_memory(self, width: int, height: int) -> None:
        if self.device.type == "cpu":
            check_tiled_memory(width, height, self.padded(width, height), self.model, self.tile, self.precision)

    def blank(self, size: PaddedSize) -> UncodedLatent:
        height, width = size.height // self.model.stride, size.width // self.model.stride
        hyper_shape = (self.model.hyper_channels, -(-height // 4), -(-width // 4))
        latent = blank_array((self.model.latent_channels, height, width), np.float32)
        return UncodedLatent(latent, blank_array(hyper_shape, np.int32))

    def analyze(self, images: Sequence[Pixels], size: PaddedSize, progress: Progress) -> list[UncodedLatent]:
        latents = self.latents(images, size, progress, self._analyze_part)
        return [UncodedLatent(latent, self._hyper_symbols(latent)) for latent in latents]

    def _analyze_part(self, image: Tensor) -> Tensor:
        with self._autocast():
            latent: Tensor = self.model.analyze(image)
        return latent

    def synthesize_part(self, latent_hat: Tensor) -> Tensor:
        with self._autocast():
            image: Tensor = self.model.synthesize(latent_hat)
        return image

    @torch.inference_mode(mode=False)  # which a caller may be in, and in which nothing can be searched
    def refine(self, pixels: Pixels, source: UncodedLatent, means: Floats, search: Search) -> Floats:
        """The latent of uint8 [H, W, 3] at whole distances from its means [C, h, w], searched for tile by tile."""
        mean = torch.from_numpy(means)[None].to(self.device)
        scales = self._scales(source.hyper_symbols, *means.shape[-2:])

        def scene_of(image: Tensor, symbols: Tensor, seen: Place, inner: Place) -> Scene:
            decode = partial(self._decode, means=mean[..., *seen])
            bits = partial(_estimated_bits, scales=scales[..., *seen][..., *inner])
            return Scene(image, symbols, *inner, decode, bits, -SYMBOL_LIMIT, SYMBOL_LIMIT)

        symbols = torch.from_numpy(source.latent)[None].to(self.device) - mean
        latent: Floats = (self.search(pixels, symbols, search, scene_of) + mean)[0].cpu().numpy()
        return latent

    def _decode(self, symbols: Tensor, means: Tensor) -> Tensor:
        reconstruction: Tensor = self.model.synthesize(symbols + means)
        return reconstruction

    @torch.no_grad()
    def _scales(self, hyper_symbols: NDArray[np.int32], rows: int, columns: int) -> Tensor:
        """[1, C, rows, columns], as in training: an encoder may go by floats, where a stream needs integers."""
        hyper_latent = torch.from_numpy(hyper_symbols)[None].to(self.device).float()
        scales: Tensor = self.model.scale_synthesis(hyper_latent)[..., :rows, :columns]
        return scales

    @torch.inference_mode()
    def _hyper_symbols(self, latent: Floats) -> NDArray[np.int32]:
        hyper_latent: Tensor = self.model.hyper_analysis(torch.from_numpy(latent)[None].to(self.device))
        return clip_hyper_symbols(hyper_latent[0].cpu().numpy())

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


def _estimated_bits(symbols: Tensor, scales: Tensor) -> Tensor:
    bits: Tensor = -gaussian_likelihoods(symbols, scales).float().log2().sum()
    return bits


def latent_coding(model: HyperpriorAutoencoder) -> LatentCoding:
    """As a trained model's checkpoint keeps it. Raises ValueError where its hyperprior is not finite."""
    return LatentCoding(HyperPrior.from_model(model))


def check(model: HyperpriorAutoencoder, coding: LatentCoding) -> None:
    assert isinstance(coding.prior, HyperPrior)
    own = coding.prior.latent_channels, coding.prior.hyper_channels
    if own != (model.latent_channels, model.hyper_channels) or coding.side_tables:
        channels = model.latent_channels, model.hyper_channels
        raise ValueError(f"latent coding of {own} channels and hyper-channels, the model has {channels}")
    for name in ("mean_synthesis", "scale_synthesis"):
        networks, integers = getattr(model, name), getattr(coding.prior, name)
        due = [tuple(getattr(networks, layer).weight.shape) for layer in LAYERS]
        found = [getattr(integers, layer).weights.shape for layer in LAYERS]
        if found != due:
            raise ValueError(f"the integer {name} has layers {found}, the model's are {due}")


def refine_latent(codec: LearnedCodec, pixels: Pixels, source: UncodedLatent) -> UncodedLatent:
    """As good as `effort` steps make it (codecs/latent_refinement.py); as it comes where that is 0. OptionError where
    the checkpoint does not say what a bit is worth."""
    assert isinstance(codec.transform, HificTransform)
    steps, rate_weight = codec.options.effort, codec.training.get("rate_weight")
    if not steps:
        return source
    if not isinstance(rate_weight, int | float) or not rate_weight > 0:
        raise OptionError(
            f"effort={steps}: the checkpoint of {codec.name} does not say what a bit was worth in training"
        )
    means = codec.coding.prior.predict(source.hyper_symbols, *source.latent.shape[1:]).means
    features_weight = min(float(rate_weight), FEATURES_WEIGHT_LIMIT)
    search = Search(float(rate_weight), features_weight, steps, codec.progress)
    return replace(source, latent=codec.transform.refine(pixels, source, means, search))


@torch.inference_mode()
def estimated_bpp(codec: LearnedCodec, pixels: Pixels) -> Mapping[str, float]:
    """Of the rounded latents, from the likelihoods that training sees; `bpp` is of the file. Nothing where the latent
    would have to be searched for once more."""
    if codec.options.effort:
        return {}
    (source,) = codec.analyze([pixels])
    model = codec.model
    latent = torch.from_numpy(source.latent)[None].to(next(model.parameters()).device)
    return {"estimated_bpp": float(model.quantized_bits(latent)) / (pixels.shape[0] * pixels.shape[1])}


FAMILY = Family(
    name="hific",
    model=HyperpriorAutoencoder,
    transform=HificTransform,
    prior=HyperPrior.from_state,
    check=check,
    extra_metrics=estimated_bpp,
    refine=refine_latent,
)
