"""What files of a model are coded with, fitted to photos.

For every model: tables of CompressNet's levels and switches, from counts; ranges of HiFiC's integer hyper-syntheses.
Over a finished one, when training has ended: a context model and a post-filter, by the first rank, to what all ranks
have of photos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from hific.codecs.base import Pixels
from hific.codecs.families import family_of
from hific.codecs.family import Identity
from hific.codecs.latent_coding import LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.priors import ChannelPrior
from hific.coding.symbol_tables import SymbolTables
from hific.context.causal_context import VALUE_LIMIT
from hific.errors import OptionError
from hific.fitting.context_model import ContextFit, TrainingLatent
from hific.fitting.postfilter import PATCH, PostFilterFit
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.images import from_unit_range, pad_to_multiple


def fit_channel_tables(
    latents: Sequence[NDArray[np.integer]],
    switch_counts: Sequence[NDArray[np.int64]] | None = None,
    *,
    num_channels: int,
    num_levels: int = 5,
) -> LatentCoding:
    """From training latents, integers 0..num_levels-1 of [C, h, w] each, any sizes; and counts [k_i, 4] of switches per
    scale, or None where none are transmitted.

    Without any latents the tables are uniform. ValueError for latents of other channels or levels.
    """
    counts = np.ones((num_channels, num_levels), np.int64)
    for latent in latents:
        if latent.ndim != 3 or len(latent) != num_channels:
            raise ValueError(f"a training latent is [{num_channels}, h, w], not {list(latent.shape)}")
        if latent.size and not 0 <= int(latent.min()) <= int(latent.max()) < num_levels:
            raise ValueError(f"levels lie in 0..{num_levels - 1}, not {latent.min()}..{latent.max()}")
        for channel in range(num_channels):
            counts[channel] += np.bincount(latent[channel].ravel(), minlength=num_levels)
    side_tables = tuple(SymbolTables.from_counts(np.asarray(count) + 1, 0) for count in switch_counts or ())
    return LatentCoding(ChannelPrior.from_counts(counts), side_tables)


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


Item = TypeVar("Item")
Fitted = TypeVar("Fitted")
Photos = Callable[[int], Iterable[Tensor]]
"""Up to so many whole photos [1, 3, H, W] in [0, 1], on the model's device; to be gone through once or again."""


def nothing(num_photos: int = 0) -> None:
    """What `context_model=none` and `postfilter=none` are made by."""


@dataclass(frozen=True)
class Fitting:
    """context_model: latents are coded by it; postfilter: decoded images are corrected by it. Each may be none."""

    context_model: ContextFit | None = None
    postfilter: PostFilterFit | None = None

    @property
    def info(self) -> dict[str, str]:
        """What there is, as plain values for reports."""
        chosen = {"context_model": self.context_model, "postfilter": self.postfilter}
        return {option: fit.kind for option, fit in chosen.items() if fit is not None}

    @property
    def num_photos(self) -> int:
        """The most that any of them takes."""
        return max((fit.num_photos for fit in (self.context_model, self.postfilter) if fit is not None), default=0)


class FittedCoding(NamedTuple):
    """What files are coded with; seconds: that fitting the context model and the post-filter took, 0 without."""

    coding: LatentCoding
    seconds: float = 0.0

    @property
    def info(self) -> dict[str, float]:
        return {"fit_seconds": round(self.seconds, 1)} if self.seconds else {}


def fit_over(model: nn.Module, coding: LatentCoding, fitting: Fitting, photos: Photos) -> FittedCoding:
    """`coding` with a context model and a post-filter where there are any to fit, from what files of the model, in eval
    mode, would hold of photos. On other ranks than the first, without them.
    """
    codec = LearnedCodec(family_of(model), model, coding, Identity("the model that is fitted", bytes(32)))
    seconds = 0.0
    if (context := fitting.context_model) is not None:
        tables, channels = coding.prior.tables, coding.prior.latent_channels
        latents = [training_latent(codec, pixels) for pixels in share_of_rank(_pixels(photos(context.num_photos)))]
        start = time.perf_counter()
        coded = fit_to_all("context_model", partial(context, tables=tables, num_channels=channels), latents)
        coding, seconds = replace(coding, context_coded=coded), time.perf_counter() - start
    if (postfilter := fitting.postfilter) is not None:
        large = (pixels for pixels in _pixels(photos(postfilter.num_photos)) if is_large_enough(pixels))
        patches = [
            postfilter.patches(index, codec.reconstruct(pixels), pixels)
            for index, pixels in share_of_rank(enumerate(large))
        ]
        start = time.perf_counter()
        coding = replace(coding, post_filter=fit_to_all("postfilter", postfilter, patches))
        seconds += time.perf_counter() - start
    return FittedCoding(coding, seconds)


def _pixels(photos: Iterable[Tensor]) -> Iterable[Pixels]:
    return (from_unit_range(photo) for photo in photos)


def fit_to_all(option: str, fit: Callable[[Sequence[Item]], Fitted], items: Sequence[Item]) -> Fitted | None:
    """`fit` of the `items` of all ranks, one a photo; None on other ranks than the first. OptionError where they are
    fewer than two; other ranks then leave without a word.
    """
    gathered = _in_turn(_of_all_ranks(list(items)))
    fitted, problem = None, None
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            fitted = _fitted(option, fit, gathered)
        except OptionError as error:
            problem = error
    if dist.is_initialized():
        failed = [problem is not None]
        dist.broadcast_object_list(failed, src=0)
        if failed[0] and problem is None:
            raise SystemExit(0)  # or it would wait for a rank that has left, which ends in a traceback of gloo's
    if problem is not None:
        raise problem
    return fitted


def _fitted(option: str, fit: Callable[[Sequence[Item]], Fitted], items: Sequence[Item]) -> Fitted:
    if len(items) < 2:
        raise OptionError(
            f"{option} is fitted to two training photos or more, not {len(items)}: "
            f"{option}.num_photos or data.root has too few"
        )
    try:
        return fit(items)
    except (ValueError, ImportError) as error:
        raise OptionError(
            f"{option} could not be fitted ({error}): last.ckpt has the trained model, over which "
            "base_checkpoint=RUN/last.ckpt fits it again"
        ) from error


def share_of_rank(items: Iterable[Item]) -> Iterable[Item]:
    """Every so manyth of the items, all of them without DDP."""
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return (item for index, item in enumerate(items) if index % ranks == rank)


def _of_all_ranks(items: list[Item]) -> list[list[Item]]:
    if not dist.is_initialized():
        return [items]
    gathered: list[list[Any]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(gathered, items)
    return gathered


def _in_turn(by_rank: list[list[Item]]) -> list[Item]:
    """The order that one rank alone would have had."""
    longest = max(map(len, by_rank))
    return [items[index] for index in range(longest) for items in by_rank if index < len(items)]


def training_latent(codec: LearnedCodec, pixels: Pixels) -> TrainingLatent:
    """The symbols that a file of uint8 [H, W, 3] holds."""
    coded, table_ids = codec.coding.quantize(codec.analyze([pixels])[0])
    return TrainingLatent(np.clip(coded.symbols, -VALUE_LIMIT, VALUE_LIMIT).astype(np.int16), table_ids)


def is_large_enough(pixels: Pixels) -> bool:
    """Whether there are patches in it."""
    return min(pixels.shape[:2]) >= PATCH
