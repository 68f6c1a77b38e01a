"""A learned system against a classical one at equal bytes, or variants of one against the first, each at its own bytes:
paired differences, each with its 95 % interval.

A quality setting is coarse: the largest file not above the learned one's is smaller than it, by 4 % of AVIF's and 8 %
of WebP's on Kodak, which decides comparisons. So each image is coded at the next size too, and each metric is taken
between the two, linear in the logarithm of the bytes:

    not above ──── bytes of the learned file ──── next size          metric(bytes) = lerp(not above, next size)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hific.evaluation.columns import MetricColumn, metric_column, metric_names
from hific.evaluation.measurement import Measurement, systems
from hific.evaluation.tables import Table

NEXT_SIZE = ", next size"
"""Behind the label of a matched system: its rows at the size above."""
RESAMPLES, CONFIDENCE, SEED = 10_000, 0.95, 0


Verdict = Literal["better", "level", "worse"]


@dataclass(frozen=True)
class Difference:
    """The learned system's metric less the other's: a mean over `n` images of `total`, and the bootstrap
    interval of that mean over images. `learned`, `other`: the means themselves, over the same images."""

    metric: str
    learned: float
    other: float
    mean: float
    low: float
    high: float
    n: int
    total: int

    @property
    def verdict(self) -> Verdict:
        """Of the learned system: better or worse where the interval is on one side of zero."""
        return verdict_of(self.low, self.high, metric_column(self.metric))


def verdict_of(low: float, high: float, column: MetricColumn) -> Verdict:
    """Of an interval of differences."""
    if column.higher_is_better is None or not (low > 0 or high < 0):
        return "level"
    return "better" if (low > 0) == column.higher_is_better else "worse"


def without_next_sizes(rows: Sequence[Measurement]) -> list[Measurement]:
    """What tables and plots show: rows at the next size only serve the comparison."""
    return [row for row in rows if not row.system.endswith(NEXT_SIZE)]


def differences(rows: Sequence[Measurement], learned: str, other: str) -> list[Difference]:
    """Of every metric that both have; `other`: a label whose rows at the next size are called other + NEXT_SIZE.

    Images of which the other system has no files on both sides of these bytes are left out, and those of which a
    metric is not finite, as PSNR is of equal pictures: `n` of `total`.
    """
    ours, below, above = (_by_image(rows, name) for name in (learned, other, other + NEXT_SIZE))
    found: list[Difference] = []
    for metric in metric_names(rows):
        pairs = [
            (ours[image].metrics[metric], theirs)
            for image in ours
            if metric in ours[image].metrics
            and image in below
            and image in above
            and (theirs := metric_at(ours[image].num_bytes, below[image], above[image], metric)) is not None
        ]
        found += _difference(metric, pairs, len(ours))
    return found


def variants(rows: Sequence[Measurement]) -> list[str]:
    """The systems of an evaluation that has learned ones alone, two or more, none coded to a limit: what a study tries,
    whose bytes are results as their metrics are. Else none."""
    of_images = [row for row in rows if not row.is_set]
    if any(not row.fingerprint or row.max_bytes is not None for row in of_images):
        return []
    found = systems(of_images)
    return found if len(found) > 1 else []


def differences_at_own_bytes(rows: Sequence[Measurement], system: str, other: str) -> list[Difference]:
    """Of every metric that both have, whatever the bytes of each."""
    ours, theirs = _by_image(rows, system), _by_image(rows, other)
    found: list[Difference] = []
    for metric in metric_names(rows):
        both = [(ours[image].metrics, theirs[image].metrics) for image in ours if image in theirs]
        pairs = [(one[metric], another[metric]) for one, another in both if metric in one and metric in another]
        found += _difference(metric, pairs, len(ours))
    return found


def _difference(metric: str, pairs: Sequence[tuple[float, float]], total: int) -> list[Difference]:
    """One, or none where no pair is of finite numbers."""
    values = finite_pairs(pairs)
    if not len(values):
        return []
    low, high = bootstrap_interval(values[:, 0] - values[:, 1])
    mine, others = values.mean(axis=0).tolist()
    return [Difference(metric, mine, others, mine - others, low, high, len(values), total)]


def finite_pairs(pairs: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """[n, 2], without those in which a value is not finite: a mean has no place for it."""
    values = np.array(pairs, float).reshape(-1, 2)
    return values[np.isfinite(values).all(axis=1)]


def bootstrap_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean: the percentiles of means over images drawn with replacement; the same for the same values."""
    drawn = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values[drawn].mean(axis=1), (tail, 1 - tail)).tolist()
    return low, high


def equal_bytes_table(rows: Sequence[Measurement]) -> Table | None:
    """A line for each matched system and metric; None where nothing was measured at both sizes."""
    body = []
    for other in systems(rows):
        if other + NEXT_SIZE not in systems(rows):
            continue
        learned = _matched_to(rows, other)
        for one in differences(rows, learned, other) if learned is not None else []:
            body.append((learned or "", other.partition(" <= ")[0], *_cells(one)))
    header = ("system", "against", "metric", "system's", "other's at its bytes", "difference", "95 % interval", "it is")
    note = (
        f"Paired by image; intervals by bootstrap over images, {RESAMPLES} times; the other's metrics are interpolated "
        "between its files next to the system's bytes. Images of which it has no files on both sides are left out (n)."
    )
    return Table((*header, "n"), tuple(body), (note,)) if body else None


def own_bytes_table(rows: Sequence[Measurement]) -> Table | None:
    """A line for each of the `variants` but the first, and metric; None where there are none, or all are equal."""
    names = variants(rows)
    if not names:
        return None
    first, *others = names
    size = {name: np.mean([row.num_bytes for row in _by_image(rows, name).values()]) for name in names}
    body = [
        (other, f"{100 * (size[other] / size[first] - 1):+.1f} %", *_cells(one))
        for other in others
        for one in differences_at_own_bytes(rows, other, first)
        if not one.low == one.high == 0
    ]
    header = ("system", "bytes", "metric", "system's", f"that of {first}", "difference", "95 % interval", "it is", "n")
    note = (
        f"Each at its own bytes, which differ as said: more bytes buy better metrics. Paired by image; intervals by "
        f"bootstrap over images, {RESAMPLES} times."
    )
    return Table(header, tuple(body), (note,)) if body else None


def _cells(one: Difference) -> tuple[str, ...]:
    column = metric_column(one.metric)
    digits = column.digits + 1
    return (
        column.heading,
        f"{one.learned:.{digits}f}",
        f"{one.other:.{digits}f}",
        f"{one.mean:+.{digits}f}",
        f"[{one.low:+.{digits}f}, {one.high:+.{digits}f}]",
        one.verdict,
        f"{one.n} of {one.total}",
    )


def _by_image(rows: Sequence[Measurement], system: str) -> Mapping[str, Measurement]:
    return {row.image: row for row in rows if row.system == system and not row.is_set}


def _matched_to(rows: Sequence[Measurement], matched: str) -> str | None:
    """The learned system whose bytes are the limits of `matched`."""
    limits = {row.image: row.max_bytes for row in _by_image(rows, matched).values()}
    for system in systems(rows):
        own = _by_image(rows, system)
        if (
            all(row.max_bytes is None for row in own.values())
            # A format that has no file of some image has fewer rows.
            and limits.items() <= {image: row.num_bytes for image, row in own.items()}.items()
        ):
            return system
    return None


def metric_at(num_bytes: int, below: Measurement, above: Measurement, metric: str) -> float | None:
    """The metric at so many bytes; None outside of the two."""
    if metric not in below.metrics or metric not in above.metrics or not below.num_bytes <= num_bytes:
        return None
    if below.num_bytes == num_bytes:
        return below.metrics[metric]
    if not num_bytes < above.num_bytes:
        return None
    share = math.log(num_bytes / below.num_bytes) / math.log(above.num_bytes / below.num_bytes)
    return below.metrics[metric] + share * (above.metrics[metric] - below.metrics[metric])
