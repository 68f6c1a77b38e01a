"""What a page says of two systems, computed from rows: paired by image, with 95 % intervals.

Where `at_equal_bytes`, the rival is taken at the system's bytes, between its files next to them in size. A rival that
was only measured at its largest size not above them has no next size there, but was measured at other rates too:
`rival_rows` names those rows, and its files of all of them are its curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hific import zoo
from hific.errors import OptionError
from hific.evaluation.columns import MetricColumn, metric_column
from hific.evaluation.equal_bytes import (
    CONFIDENCE,
    NEXT_SIZE,
    RESAMPLES,
    SEED,
    Verdict,
    bootstrap_interval,
    finite_pairs,
    metric_at,
    verdict_of,
)
from hific.evaluation.folder import read_rows
from hific.evaluation.measurement import Measurement

EXPERIMENTS = Path(__file__).resolve().parents[1]
COSTS = {
    "bytes": MetricColumn("bytes", 0, False),
    "bpp": MetricColumn("bpp", 3, False),
    "encode_seconds": MetricColumn("encode, s", 2, False),
    "decode_seconds": MetricColumn("decode, s", 2, False),
}
"""What rows hold besides metrics."""
SHORT_TITLES = {"perceptual_loss": "conv4", "color_error": "ΔE"}
# Metrics that had another name when rows were written.
OLDER_NAMES = {"post_filtered_share": "refined_share"}


@dataclass(frozen=True)
class Comparison:
    """rows, rival_rows: below experiments/, Parquet files or folders with measurements.parquet; rival_rows are `rows`
    where they are left out. relative: differences in percent of the rival's mean."""

    rows: str
    system: str
    rival: str
    metric: str
    at_equal_bytes: bool = False
    relative: bool = False
    rival_rows: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Comparisons as YAML files declare them. each: placeholders of all texts, {rate: [low, high]}: a comparison for
    each combination. Without a rival there are only means."""

    rows: str = ""
    system: str = ""
    rival: str = ""
    metric: str = ""
    at_equal_bytes: bool = False
    relative: bool = False
    rival_rows: Sequence[str] = ()
    each: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def comparisons(self) -> dict[str, Comparison]:
        """By what the placeholders stand for."""
        found = {}
        for values in product(*self.each.values()):
            names = dict(zip(self.each, values, strict=True))
            found[", ".join(values)] = Comparison(
                rows=self.rows.format(**names),
                system=self.system.format(**names),
                rival=self.rival.format(**names),
                metric=self.metric.format(**names),
                at_equal_bytes=self.at_equal_bytes,
                relative=self.relative,
                rival_rows=tuple(text.format(**names) for text in self.rival_rows),
            )
        return found


@dataclass(frozen=True)
class Finding:
    """system, rival: means over `n` images of the system's `total`; mean: of the paired differences, with its interval.
    wins: images where the system is better."""

    metric: str
    system: float
    rival: float
    mean: float
    low: float
    high: float
    n: int
    total: int
    wins: int

    @property
    def verdict(self) -> Verdict:
        """Of the system."""
        return verdict_of(self.low, self.high, column_of(self.metric))


def column_of(metric: str) -> MetricColumn:
    return COSTS.get(metric) or metric_column(metric)


def title_of(metric: str) -> str:
    return SHORT_TITLES.get(metric, column_of(metric).title)


@cache
def rows_of(name: str) -> tuple[Measurement, ...]:
    """OptionError where there are none."""
    path = EXPERIMENTS / name
    path = path / "measurements.parquet" if path.is_dir() else path
    if not path.is_file():
        raise OptionError(f"{name}: there are no rows at {path}")
    return tuple(read_rows(path))


def earlier_models(rows: Iterable[Measurement]) -> list[str]:
    """The shipped models of which some rows are of other weights than today's."""
    named = {(row.system.partition(",")[0], row.fingerprint) for row in rows if row.fingerprint}
    shipped = [(name, digits) for name, digits in named if name in zoo.MODELS]
    return sorted({name for name, digits in shipped if not zoo.describe(name).fingerprint.startswith(digits)})


def images_of(rows: Iterable[Measurement], system: str, where: str = "") -> dict[str, Measurement]:
    """Rows of `system` by image; OptionError where there are none."""
    found = {row.image: row for row in rows if row.system == system and not row.is_set}
    if not found:
        raise OptionError(f"{where}: no rows of {system!r}")
    return found


def value_of(row: Measurement, metric: str) -> float | None:
    if metric in COSTS:
        return {"bytes": row.num_bytes, "bpp": row.bpp}.get(metric, getattr(row, metric, None))
    return row.metrics.get(metric, row.metrics.get(OLDER_NAMES.get(metric, "")))


def mean_of(rows: Mapping[str, Measurement], metric: str) -> float | None:
    """Over the images that have it."""
    values = [value for row in rows.values() if (value := value_of(row, metric)) is not None]
    return float(np.mean(values)) if values else None


@cache
def compare(asked: Comparison) -> Finding:
    """OptionError where no image can be compared."""
    if "*" in asked.rival and not asked.at_equal_bytes:
        raise OptionError(f"{asked}: files of several sizes are compared at equal bytes")
    ours = images_of(rows_of(asked.rows), asked.system, asked.rows)
    rivals = _files_of(asked.rival_rows or (asked.rows,), asked.rival)
    pairs = finite_pairs([pair for row in ours.values() for pair in _pairs(row, rivals.get(row.image, []), asked)])
    if not len(pairs):
        raise OptionError(f"{asked}: no image has both")
    own, rival = pairs.T
    differences = own - rival
    wins = int(np.sum(differences > 0 if column_of(asked.metric).higher_is_better else differences < 0))
    mean, (low, high) = float(differences.mean()), bootstrap_interval(differences)
    if asked.relative:
        mean, (low, high) = 100 * float(own.mean() / rival.mean() - 1), ratio_interval(own, rival)
    means = float(own.mean()), float(rival.mean())
    return Finding(asked.metric, *means, mean, low, high, len(pairs), len(ours), wins)


def _files_of(names: Sequence[str], system: str) -> dict[str, list[Measurement]]:
    """By image: its files at all sizes that were measured."""
    found: dict[str, list[Measurement]] = {}
    for row in (row for name in names for row in rows_of(name)):
        if any(fnmatchcase(row.system, one) for one in (system, system + NEXT_SIZE)) and not row.is_set:
            found.setdefault(row.image, []).append(row)
    if not found:
        raise OptionError(f"{', '.join(names)}: no rows of {system!r}")
    return found


def _pairs(row: Measurement, rivals: Sequence[Measurement], asked: Comparison) -> list[tuple[float, float]]:
    """The two values of an image; nothing where either is missing."""
    if not rivals:
        return []
    own, rival = value_of(row, asked.metric), value_of(rivals[0], asked.metric)
    if asked.at_equal_bytes:
        rival = _at_bytes(row.num_bytes, rivals, asked.metric)
    return [(own, rival)] if own is not None and rival is not None else []


def _at_bytes(num_bytes: int, candidates: Sequence[Measurement], metric: str) -> float | None:
    below = [row for row in candidates if row.num_bytes <= num_bytes]
    above = [row for row in candidates if row.num_bytes > num_bytes]
    if not below:
        return None
    largest = max(below, key=lambda row: row.num_bytes)
    return metric_at(num_bytes, largest, min(above, key=lambda row: row.num_bytes, default=largest), metric)


def ratio_interval(own: NDArray[np.float64], rival: NDArray[np.float64]) -> tuple[float, float]:
    """Of the change of the mean in percent, as `bootstrap_interval` draws."""
    drawn = np.random.default_rng(SEED).integers(len(own), size=(RESAMPLES, len(own)))
    ratios = 100 * (own[drawn].mean(axis=1) / rival[drawn].mean(axis=1) - 1)
    low, high = np.quantile(ratios, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)).tolist()
    return low, high
