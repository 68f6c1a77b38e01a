"""Fits a post-filter to a model's decoded training photos.

    (decoded, original) ─ patches, drawn at random ─ least squares: linear filter ─ what it leaves ─ XGBoost

Every eighth photo is kept from both, to stop boosting and to tell what is gained.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xgboost
from numpy.typing import NDArray

from hific.coding.exact_trees import CHECKED_ROWS, TreeGrowth, rounded_leaves
from hific.postfilter.features import (
    CORRECTION_BITS,
    MAX_WEIGHT,
    WEIGHT_BITS,
    Pixels,
    PostFilterOptions,
    centered,
    features_of,
    linear_correction,
    window_around,
    window_rows,
)
from hific.postfilter.postfilter import PostFilter, corrected

log = logging.getLogger(__name__)

# Pixels a side; a whole period of the latent's grid.
PATCH = 16
HELD_OUT = 8
# In pixels of one level.
RIDGE = 1000.0
_AT_ONCE = 64


class Patches(NamedTuple):
    """What is learned from one photo: windows uint8 [n, 16 + 2r, 16 + 2r, 3] as decoded, the original's
    pixels uint8 [n, 16, 16, 3], places int32 [n, 4] as `features_of` takes them.
    """

    windows: Pixels
    originals: Pixels
    places: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class PostFilterFit(TreeGrowth):
    """What a post-filter is made of.

    Args:
        side, location, tile: see `PostFilterOptions`.
        pixels_per_photo: that are learned from, in patches of 16 x 16.
        rounds: as of `TreeGrowth`; 0 rounds leave the linear filter alone.
        seed: of the choice of patches, and XGBoost's.
        num_photos: whole photos that are learned from, at most.
        others: see `TreeGrowth`.
    """

    side: int = 7
    location: bool = True
    tile: int = 64
    pixels_per_photo: int = 6144
    learning_rate: float = 0.1
    min_child_weight: float = 500.0
    max_bin: int = 64
    num_photos: int = 384

    def __post_init__(self) -> None:
        self.options  # noqa: B018  raises what is wrong with them
        if self.pixels_per_photo < PATCH**2 or self.rounds < 0:
            raise ValueError(f"pixels_per_photo={self.pixels_per_photo} is {PATCH**2} up, rounds={self.rounds} 0 up")

    @property
    def kind(self) -> str:
        """Of the post-filter."""
        return "xgboost" if self.rounds else "linear"

    @property
    def options(self) -> PostFilterOptions:
        return PostFilterOptions(self.side, self.location, self.tile)

    def patches(self, index: int, decoded: Pixels, original: Pixels) -> Patches:
        """Of the photo of that index, uint8 [H, W, 3] both. ValueError where they are smaller than a patch."""
        height, width = original.shape[:2]
        if min(height, width) < PATCH or decoded.shape != original.shape:
            raise ValueError(f"post-filter: a photo of {original.shape}, decoded as {decoded.shape}")
        generator = np.random.default_rng([self.seed, index])
        count = min(self.pixels_per_photo, height * width) // PATCH**2
        tops, lefts = (generator.integers(0, length - PATCH + 1, count) for length in (height, width))
        spots = [(slice(top, top + PATCH), slice(left, left + PATCH)) for top, left in zip(tops, lefts, strict=True)]
        windows = [window_around(decoded, *spot, self.options.reach) for spot in spots]
        places = np.stack([tops, lefts, np.full(count, height), np.full(count, width)], axis=1)
        return Patches(np.stack(windows), np.stack([original[spot] for spot in spots]), places.astype(np.int32))

    def __call__(self, photos: Sequence[Patches]) -> PostFilter:
        """Raises ValueError where there are fewer than two photos to learn from."""
        if len(photos) < 2:
            raise ValueError(f"a post-filter is fitted to two photos or more, not {len(photos)}")
        every = min(HELD_OUT, len(photos))
        training, held_out = (
            _together([photo for index, photo in enumerate(photos) if (index % every == every - 1) == kept])
            for kept in (False, True)
        )
        weights = fit_weights(training, self.side)
        no_trees, no_examples = np.zeros(0, np.uint8), np.zeros((0, 3), np.int32)
        linear = PostFilter(self.options, weights, no_trees, no_examples, no_examples)
        if self.rounds == 0:
            log.info(
                "post-filter of %d pixels: linear %+.3f dB", training.originals[..., 0].size, gain(linear, held_out)
            )
            return linear
        trees, examples = self._boost(weights, training, held_out)
        unchecked = PostFilter(self.options, weights, trees, examples[:0], no_examples)
        postfilter = PostFilter(self.options, weights, trees, examples, unchecked.tree_corrections(examples))
        log.info(
            "post-filter of %d pixels: %+.3f dB on photos kept from it, %+.3f dB by the linear filter alone",
            training.originals[..., 0].size,
            gain(postfilter, held_out),
            gain(linear, held_out),
        )
        return postfilter

    def _boost(
        self, weights: NDArray[np.int32], training: Patches, held_out: Patches
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """The trees of what the linear filter leaves, and examples of features."""
        features, targets = self._rows(weights, training)
        threads = self.num_threads or None
        grown_from = xgboost.QuantileDMatrix(features, targets, max_bin=self.max_bin, nthread=threads)
        examples = features[:: -(-len(features) // CHECKED_ROWS)].astype(np.int32)
        del features
        watched = xgboost.QuantileDMatrix(
            *self._rows(weights, held_out), ref=grown_from, max_bin=self.max_bin, nthread=threads
        )
        objective = {"objective": "reg:squarederror", "base_score": 0.0, "multi_strategy": "multi_output_tree"}
        booster = self.grow(objective, grown_from, watched)
        return rounded_leaves(booster), examples

    def _rows(self, weights: NDArray[np.int32], patches: Patches) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [n, F], and targets [n, 3] in levels."""
        features, targets = [], []
        for some in _in_parts(patches):
            window = centered(some.windows)
            linear = linear_correction(window, weights, self.side)
            features.append(features_of(window, linear, some.places, self.options))
            left = some.originals - _own(some.windows).astype(np.float64) - linear * 2.0**-CORRECTION_BITS
            targets.append(left.reshape(-1, 3).astype(np.float32))
        return np.concatenate(features), np.concatenate(targets)


def fit_weights(patches: Patches, side: int) -> NDArray[np.int32]:
    """Of the linear filter, int32 [3, num_weights], by ridge regression; from integer sums, exact in any order."""
    size = 3 * side * side + 1
    moments = np.zeros((size, size + 3))
    for some in _in_parts(patches):
        rows = window_rows(centered(some.windows), side)
        known = np.concatenate([rows[:, row : row + PATCH] for row in range(side)], axis=3).reshape(-1, size - 1)
        error = (some.originals.astype(np.float64) - _own(some.windows)).reshape(-1, 3)
        columns = np.concatenate([known, np.ones((len(known), 1)), error], axis=1)
        moments += columns[:, :size].T @ columns
    solution = np.linalg.solve(moments[:, :size] + RIDGE * np.eye(size), moments[:, size:]).T
    limit = MAX_WEIGHT - 1
    return np.clip(np.rint(solution * 2.0**WEIGHT_BITS), -limit, limit).astype(np.int32)


def gain(postfilter: PostFilter, patches: Patches) -> float:
    """dB of mean squared error, all patches filtered."""
    before = after = 0.0
    for some in _in_parts(patches):
        own = _own(some.windows)
        filtered = corrected(own, postfilter.corrections(some.windows, some.places))
        before, after = (
            total + float(np.square(some.originals.astype(np.float64) - pixels).sum())
            for total, pixels in ((before, own), (after, filtered))
        )
    return float(10 * np.log10(max(before, 1.0) / max(after, 1.0)))


def _own(windows: Pixels) -> Pixels:
    """[n, 16, 16, 3], without the margin."""
    reach = (windows.shape[1] - PATCH) // 2
    return windows[:, reach : reach + PATCH, reach : reach + PATCH]


def _in_parts(patches: Patches) -> Iterator[Patches]:
    """Few at a time: a window takes 150 numbers a pixel."""
    for start in range(0, len(patches.windows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        yield Patches(patches.windows[some], patches.originals[some], patches.places[some])


def _together(photos: Sequence[Patches]) -> Patches:
    return Patches(*(np.concatenate(arrays) for arrays in zip(*photos, strict=True)))
