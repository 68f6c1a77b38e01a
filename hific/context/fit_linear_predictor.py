"""Fits the linear predictor to training latents.

The same latents give the same predictor, whatever the number of threads: least squares are solved from integer sums,
exact in any order, and rounded to integer weights; thresholds and tables are integer arithmetic throughout.

Tables count what was predicted by weights that had not seen the row (of FOLDS folds, all but the row's own). Otherwise
a short history, say 20 steps of training, gives tables that trust the prediction too much: measured 30 % above static
tables on symbols that do not depend on each other, against 1 % so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.context.coding_order import CodingPass, coding_order
from hific.context.linear_predictor import (
    BINS_PER_LEVEL,
    CROSS_REACH,
    ERROR_BINS,
    FRACTION_BITS,
    MAX_WEIGHT,
    OWN_REACH,
    LinearPredictor,
    table_ids,
    weigh,
)
from hific.context.window import Canvas, Features, Window, causal_window, margin_for

# One to two seconds of fitting at every checkpoint; more symbols improve the tables by little.
MAX_SYMBOLS = 1 << 21
# Rows that the weights of a pass are fitted to; tables count all rows.
MAX_LEAST_SQUARES_ROWS = 1 << 15
FOLDS = 4
RIDGE = 50
# How many symbols the coarser table is worth where a finer one is blended with it.
BACK_OFF = 12
# Counts are smoothed over neighboring position bins by [1, 2, 1] this many times.
SMOOTHINGS = 2

Ints = NDArray[np.int32]
Counts = NDArray[np.int64]
Moments = NDArray[np.float64]


def fit_linear_predictor(latents: Sequence[NDArray[np.integer]], num_channels: int, levels: int) -> LinearPredictor:
    """From latents of integers 0..levels-1, [num_channels, h, w] each, of any sizes and number.

    None at all gives uniform tables. Of more than MAX_SYMBOLS the last are used: those of the newest model in training.
    """
    latents = _last(latents)
    steps = coding_order(num_channels)
    windows = [causal_window(step, num_channels, OWN_REACH, CROSS_REACH) for step in steps]
    canvases = [Canvas.filled(stack, levels, margin_for(windows)) for stack in _stack_by_shape(latents)]
    num_terms = max(len(window) + 2 for window in windows)
    position_weights, error_weights = np.zeros((2, len(steps), num_terms), np.int32)
    error_thresholds = np.zeros((len(steps), ERROR_BINS - 1), np.int32)
    counts = np.zeros((len(steps), levels * BINS_PER_LEVEL * ERROR_BINS, levels), np.int64)
    for step, window in zip(steps, windows, strict=True):
        index = step.index
        features, symbols = _training_rows(canvases, step, window)
        target = symbols << FRACTION_BITS
        position_weights[index], position = _fit_weights(features, target, num_terms)
        error_weights[index], error = _fit_weights(np.abs(features), np.abs(target - position), num_terms)
        error_thresholds[index] = _quantiles(error, ERROR_BINS)
        ids = table_ids(position, error, error_thresholds[index], levels)
        counts[index] = np.bincount(ids * levels + symbols, minlength=counts[index].size).reshape(-1, levels)
    return LinearPredictor(position_weights, error_weights, error_thresholds, _tables_of(counts))


def _last(latents: Sequence[NDArray[np.integer]]) -> list[NDArray[np.integer]]:
    taken, num_symbols = 0, 0
    for latent in reversed(latents):
        num_symbols += latent.size
        if num_symbols > MAX_SYMBOLS and taken:
            break
        taken += 1
    return list(latents)[len(latents) - taken :]


def _stack_by_shape(latents: Sequence[NDArray[np.integer]]) -> list[NDArray[np.integer]]:
    """Latents of one shape together: crops are small and many, and numpy's cost is by the call."""
    by_shape = defaultdict(list)
    for latent in latents:
        by_shape[latent.shape].append(latent)
    return [np.stack(group) for _, group in sorted(by_shape.items())]


def _training_rows(canvases: Sequence[Canvas], step: CodingPass, window: Window) -> tuple[Features, Ints]:
    features = [canvas.features(step, window).T for canvas in canvases]
    symbols = [canvas.take(step) for canvas in canvases]
    no_rows = np.empty((len(window) + 1, 0), np.int16)
    return np.concatenate([no_rows, *features], axis=1).T, np.concatenate([np.empty(0, np.int32), *symbols])


def _fit_weights(features: Features, target: Ints, num_terms: int) -> tuple[Ints, Ints]:
    """(weights int32 [num_terms] fitted to all rows, results int32 [n] by weights fitted without the row's fold)."""
    bounds = [len(target) * fold // FOLDS for fold in range(FOLDS + 1)]
    folds = [slice(start, end) for start, end in pairwise(bounds)]
    every = -(-max(len(target), 1) // MAX_LEAST_SQUARES_ROWS)
    moments = [_moments(features[fold][::every], target[fold][::every]) for fold in folds]
    total = np.sum(moments, axis=0)
    held_out = [weigh(features[fold], _solve(total - own, num_terms)) for fold, own in zip(folds, moments, strict=True)]
    return _solve(total, num_terms), np.concatenate(held_out)


def _moments(features: Features, target: Ints) -> Moments:
    """Sums of products of (features, 1) with (features, 1, target): integers below 2**53, so exact in any order."""
    columns = np.empty((features.shape[1] + 2, len(target)))
    columns[:-2], columns[-2], columns[-1] = features.T, 1, target
    return columns[:-1] @ columns.T


def _solve(moments: Moments, num_terms: int) -> Ints:
    """Ridge regression, int32 [num_terms]: weights of the features, the constant, zeros."""
    weights = np.zeros(num_terms, np.int32)
    normal_matrix, right_side = moments[:, :-1].copy(), moments[:, -1]
    if normal_matrix[-1, -1] == 0:  # no rows
        return weights
    diagonal = np.arange(len(normal_matrix) - 1)
    normal_matrix[diagonal, diagonal] += RIDGE
    solution = np.rint(np.linalg.solve(normal_matrix, right_side))
    weights[: len(solution)] = np.clip(solution, -MAX_WEIGHT, MAX_WEIGHT)
    return weights


def _quantiles(values: Ints, parts: int) -> Ints:
    """The values that split the rest into `parts` equal shares, int32 [parts - 1]; members, not interpolated."""
    if len(values) == 0:
        return np.zeros(parts - 1, np.int32)
    ranks = len(values) * np.arange(1, parts) // parts
    return np.partition(values, ranks)[ranks]


def _tables_of(counts: Counts) -> Ints:
    """Frequencies of counts [passes, bins, levels], each blended with a coarser table.

    uniform <- all <- all of the position bin <- the pass's position bin <- the pass's position and error bin
    """
    levels = counts.shape[-1]
    binned = counts.reshape(len(counts), levels * BINS_PER_LEVEL, ERROR_BINS, levels)
    smooth = _smooth(binned)
    overall = _blend(counts.sum(axis=(0, 1)), normalize_counts(np.zeros(levels, np.int64)))
    by_position = _blend(smooth.sum(axis=(0, 2)), overall, 4**SMOOTHINGS)
    by_pass_and_position = _blend(smooth.sum(axis=2), by_position, 4**SMOOTHINGS)
    return _blend(smooth, by_pass_and_position[:, :, None, :], 4**SMOOTHINGS).reshape(counts.shape)


def _blend(counts: Counts, coarser: Ints, count_scale: int = 1) -> Ints:
    """Frequencies of counts (times count_scale) plus BACK_OFF symbols spread as the coarser frequencies say."""
    return normalize_counts(counts * TOTAL + BACK_OFF * count_scale * coarser.astype(np.int64))


def _smooth(counts: Counts) -> Counts:
    """Counts [passes, position bins, ..] times 4**SMOOTHINGS, each spread over its neighboring position bins."""
    for _ in range(SMOOTHINGS):
        padded = np.concatenate([counts[:, :1], counts, counts[:, -1:]], axis=1)
        counts = padded[:, :-2] + 2 * counts + padded[:, 2:]
    return counts
