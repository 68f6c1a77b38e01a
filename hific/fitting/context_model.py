"""Fits a context coder to the latents of training photos.

    latents ─ two halves ─ linear predictions, each by the other half's ─ windows [n, F], bins [n] ─ context model

The windows of a photo are predicted by weights that have not seen it: those that have know it better than they will
know new photos, and a context model would trust them too much. Every eighth photo is kept from the context model, to
stop boosting, to weigh votes, and to tell what is gained.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import Ints
from hific.coding.symbol_tables import SymbolTables
from hific.context.causal_context import CausalContext, ContextOptions
from hific.context.coding_order import Order
from hific.context.context_model import ContextModel, ContextModelFit, Windows, cross_entropy
from hific.context.linear_prediction import LinearPrediction, PredictionMoments
from hific.context.symbol_bins import MAX_BIN_WIDTH, SymbolBins, check_bins, expected_magnitudes, skip_mask
from hific.latent_coders.context_coded import ContextCoded

log = logging.getLogger(__name__)

HELD_OUT = 8
FEW_CHANNELS = 16
# Bins cost time: symbols beyond K are fewer than this share, and K is at most MOST_LARGEST.
ESCAPED_SHARE, MOST_LARGEST = 2e-4, 8


class TrainingLatent(NamedTuple):
    """One photo's symbols and the tables that would code them, both int [C, h, w]."""

    symbols: NDArray[np.integer]
    table_ids: NDArray[np.integer]


@dataclass(frozen=True)
class ContextFit:
    """What a context coder is made of.

    Args:
        fit: makes the context model: `LinearFit`, `XGBoostFit`, `KNNFit` or `AdaptiveFit`.
        order, side, location: see `ContextOptions`.
        num_groups, reach: the same; None chooses by the channels. Few, as CompressNet's, are coded one by one and
            looked at from afar, many in 4 groups and from next to each other.
        max_bin_width: of the bins of wide tables, see `SymbolBins`.
        windows_per_photo: the paper's Y; None for all, up to `max_windows` of all photos.
        seed: of the choice of windows.
        num_photos: whole photos that are learned from, at most.
    """

    fit: ContextModelFit
    num_groups: int | None = None
    order: Order = "phases"
    reach: int | None = None
    side: int = 7
    location: bool = True
    max_bin_width: int = MAX_BIN_WIDTH
    windows_per_photo: int | None = None
    max_windows: int = 1_000_000
    seed: int = 0
    num_photos: int = 384

    def __post_init__(self) -> None:
        check_bins(MOST_LARGEST, self.max_bin_width)
        self.options(num_channels=max(self.num_groups or 1, FEW_CHANNELS))
        if (self.windows_per_photo is not None and self.windows_per_photo < 1) or self.max_windows < 1:
            raise ValueError(f"windows_per_photo={self.windows_per_photo} and max_windows={self.max_windows} are 1 up")

    @property
    def kind(self) -> str:
        """Of the context model."""
        return self.fit.kind

    def options(self, num_channels: int) -> ContextOptions:
        few = num_channels <= FEW_CHANNELS
        groups = self.num_groups or (num_channels if few else 4)
        reach = (3 if few else 1) if self.reach is None else self.reach
        return ContextOptions(num_channels, min(groups, num_channels), self.order, reach, self.side, self.location)

    def __call__(self, latents: Sequence[TrainingLatent], tables: SymbolTables, num_channels: int) -> ContextCoded:
        """Raises ValueError where there are fewer than two latents to learn from."""
        if len(latents) < 2:
            raise ValueError(f"a context model is fitted to two photos or more, not {len(latents)}")
        options, largest = self.options(num_channels), _largest(latents)
        # Where few symbols are beyond K anyway, wider bins would only hide some from others.
        symbol_bins = SymbolBins(tables, largest, self.max_bin_width if largest == MOST_LARGEST else 1)
        photos = _contexts(options, latents, symbol_bins)
        halves = [PredictionMoments.of(options, photos[half::2]) for half in (0, 1)]
        windows = self._windows(latents, photos, (halves[1].solve(), halves[0].solve()), symbol_bins)
        held = _is_held_out(len(latents))
        training, held_out = (
            _together([one for one, is_held in zip(windows, held, strict=True) if is_held == kept], options)
            for kept in (False, True)
        )
        model = self.fit(training, held_out, symbol_bins.frequencies, options.side**2 - 1)
        _report_gain(model, held_out, symbol_bins.frequencies, len(training.bins))
        linear_prediction = (halves[0] + halves[1]).solve()
        return ContextCoded(
            tables, options, largest, symbol_bins.max_bin_width, linear_prediction, self.fit.kind, model
        )

    def _windows(
        self,
        latents: Sequence[TrainingLatent],
        photos: Sequence[CausalContext],
        predictions: tuple[LinearPrediction, LinearPrediction],
        symbol_bins: SymbolBins,
    ) -> list[Windows]:
        """Of each photo; predictions: of those of even index, and of the others."""
        skipped = skip_mask(symbol_bins.tables)
        most = min(self.windows_per_photo or self.max_windows, max(1, self.max_windows // len(latents)))
        windows = []
        for index, (latent, photo) in enumerate(zip(latents, photos, strict=True)):
            generator = np.random.default_rng([self.seed, index])
            open_symbols = ~skipped[latent.table_ids]
            share = most / max(1, int(open_symbols.sum()))
            drawn = open_symbols & (generator.random(open_symbols.shape) < share)
            windows.append(_windows_of(latent, photo, predictions[index % 2], symbol_bins, drawn))
        return windows


def _contexts(
    options: ContextOptions, latents: Sequence[TrainingLatent], symbol_bins: SymbolBins
) -> list[CausalContext]:
    """In which every symbol is known."""
    expected = expected_magnitudes(symbol_bins.tables)
    contexts = [CausalContext(options, latent.table_ids[None], expected, symbol_bins.widths) for latent in latents]
    for context, latent in zip(contexts, latents, strict=True):
        context.put((slice(None),) * 3, latent.symbols[None], np.ones((1, *latent.symbols.shape), bool))
    return contexts


def _windows_of(
    latent: TrainingLatent,
    photo: CausalContext,
    prediction: LinearPrediction,
    symbol_bins: SymbolBins,
    drawn: NDArray[np.bool_],
) -> Windows:
    """Of the symbols that are `drawn`, bool [C, h, w]."""
    features, symbols = [np.empty((0, photo.options.num_features), np.int16)], [np.empty(0, np.int32)]
    for coding_pass in photo.options.passes:
        chosen = drawn[coding_pass.place]
        if chosen.any():
            predicted = prediction.of_chosen(coding_pass, photo, chosen[None])
            features.append(photo.features(coding_pass, chosen[None], *predicted))
            symbols.append(latent.symbols[coding_pass.place][chosen].astype(np.int32))
    every = np.concatenate(features)
    return Windows(every, symbol_bins.of(np.concatenate(symbols), every[:, 0]))


def _largest(latents: Sequence[TrainingLatent]) -> int:
    """K: the smallest that leaves few symbols to the escape."""
    magnitudes = np.concatenate([np.abs(latent.symbols).ravel() for latent in latents])
    return int(np.clip(np.quantile(magnitudes, 1 - ESCAPED_SHARE, method="higher"), 1, MOST_LARGEST))


def _is_held_out(num_photos: int) -> list[bool]:
    every = min(HELD_OUT, num_photos)
    return [index % every == every - 1 for index in range(num_photos)]


def _together(windows: Sequence[Windows], options: ContextOptions) -> Windows:
    no_features, no_bins = np.empty((0, options.num_features), np.int16), np.empty(0, np.int32)
    return Windows(
        np.concatenate([no_features, *(one.features for one in windows)]),
        np.concatenate([no_bins, *(one.bins for one in windows)]),
    )


def _report_gain(model: ContextModel, held_out: Windows, table_frequencies: Ints, num_training: int) -> None:
    alone = cross_entropy(table_frequencies[held_out.features[:, 0]], held_out.bins)
    predicted = cross_entropy(model.copy().frequencies(held_out.features), held_out.bins)
    log.info(
        "context model of %d windows: %.3f bits for the bin of a symbol on photos kept from it, %.3f by tables alone",
        *(num_training, predicted, alone),
    )
    if predicted > alone:
        log.warning(
            "the context model makes files larger: more training photos may help; the latent coder `tables` goes "
            "without it"
        )
