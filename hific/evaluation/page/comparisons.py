"""Which systems of an evaluation stand at the same bytes, and their paired differences. All statistics are those of
evaluation/equal_bytes.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hific.evaluation.columns import metric_column
from hific.evaluation.equal_bytes import (
    NEXT_SIZE,
    Difference,
    differences,
    differences_at_own_bytes,
    variants,
    without_next_sizes,
)
from hific.evaluation.measurement import Measurement, systems

Rows = Sequence[Measurement]
Bytes = frozenset[tuple[str, int]]


@dataclass(frozen=True)
class RateGroup:
    """Systems of equal bytes, by image: those that set them, then what was coded at the largest size not above.

    Args:
        leaders: whose own bytes these are; none where the limit was a number.
        matched: with the limit.
    """

    leaders: tuple[str, ...]
    matched: tuple[str, ...]

    @property
    def members(self) -> tuple[str, ...]:
        return (*self.leaders, *self.matched)


@dataclass(frozen=True)
class Reference:
    """What all others are compared with. `of`: of each system, by metric, its value less the reference's, at equal
    bytes or each at its own."""

    label: str
    of: Mapping[str, Mapping[str, Difference]]
    at_equal_bytes: bool = True


def rate_groups(rows: Rows) -> list[RateGroup]:
    """In the order of their first system."""
    limits: dict[Bytes, tuple[list[str], list[str]]] = {}
    shown = without_next_sizes(rows)
    for system in systems(shown):
        own = [row for row in shown if row.system == system and not row.is_set]
        if own and all(row.max_bytes is None for row in own):
            limits.setdefault(frozenset((row.image, row.num_bytes) for row in own), ([], []))[0].append(system)
    for system in systems(shown):
        own = [row for row in shown if row.system == system and not row.is_set]
        if any(row.max_bytes is not None for row in own):
            asked = frozenset((row.image, row.max_bytes or 0) for row in own)
            # a format that has no file of some image has fewer rows
            found = next((known for known in limits if asked <= known), asked)
            limits.setdefault(found, ([], []))[1].append(system)
    return [RateGroup(tuple(leaders), tuple(matched)) for leaders, matched in limits.values()]


def decode_alike(rows: Rows) -> bool:
    """Whether these are several learned systems that all decode to the same pixels, as what codes one latent in several
    ways does: by the metrics of each image, which are then equal to the last bit."""
    metrics: dict[str, list[dict[str, float]]] = {}
    for row in without_next_sizes(rows):
        if not row.fingerprint:
            return False
        if not row.is_set:
            of_pixels = {name: value for name, value in row.metrics.items() if _is_directed(name)}
            metrics.setdefault(row.image, []).append(of_pixels)
    several = all(len(of_image) > 1 for of_image in metrics.values())
    return bool(metrics) and several and all(one == of_image[0] for of_image in metrics.values() for one in of_image)


def _is_directed(metric: str) -> bool:
    return metric_column(metric).higher_is_better is not None


def references(rows: Rows, groups: Sequence[RateGroup]) -> list[Reference]:
    """Each codec that was coded at both sizes, then what leads the groups; where there are variants alone, the first of
    them; none where rows permit no comparison."""
    codecs = {row.system: row.codec for row in rows}
    pairs = {(group, other): _against(rows, group, other) for group in groups for other in group.matched}
    found = []
    for codec in dict.fromkeys(codecs[other] for _, other in pairs):
        of = {name: one for (_, other), those in pairs.items() if codecs[other] == codec for name, one in those.items()}
        found.append(Reference(codec, of))
    leading = [group for group in groups if group.leaders]
    of_leaders = {
        other: {metric: _reversed(one) for metric, one in those[group.leaders[0]].items()}
        for (group, other), those in pairs.items()
        if group.leaders and group.leaders[0] in those
    }
    of_leaders |= {name: one for group in leading for name, one in _among_leaders(rows, group).items()}
    label = leading[0].leaders[0] if len(leading) == 1 else "the learned system of the same bytes"
    at_equal_bytes = [one for one in (*found, Reference(label, of_leaders)) if any(one.of.values())]
    return at_equal_bytes or _first_of(rows, variants(rows))


def _first_of(rows: Rows, names: Sequence[str]) -> list[Reference]:
    if not names:
        return []
    first, *others = names
    of = {name: {one.metric: one for one in differences_at_own_bytes(rows, name, first)} for name in others}
    return [Reference(first, of, at_equal_bytes=False)] if any(of.values()) else []


def _against(rows: Rows, group: RateGroup, other: str) -> dict[str, dict[str, Difference]]:
    """Of each leader against a matched system; nothing without its next size."""
    if not any(row.system == other + NEXT_SIZE for row in rows):
        return {}
    return {leader: {one.metric: one for one in differences(rows, leader, other)} for leader in group.leaders}


def _among_leaders(rows: Rows, group: RateGroup) -> dict[str, dict[str, Difference]]:
    """Of all but the first against the first: their bytes are equal, so that the next size is the same file."""
    first = group.leaders[0]
    doubled = [*rows, *(replace(row, system=first + NEXT_SIZE) for row in rows if row.system == first)]
    return {other: {one.metric: one for one in differences(doubled, other, first)} for other in group.leaders[1:]}


def _reversed(one: Difference) -> Difference:
    """The same pair, as the other sees it."""
    return replace(one, learned=one.other, other=one.learned, mean=-one.mean, low=-one.high, high=-one.low)
