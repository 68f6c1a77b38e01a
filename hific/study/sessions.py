"""Which trials a participant sees, in which order and on which side: a pure function of manifest and seed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from hific.evaluation.folder import ORIGINAL
from hific.study.manifest import DEGRADED, Manifest


@dataclass(frozen=True)
class Shown:
    """A picture on a side. `system`: a label, or ORIGINAL or DEGRADED in a catch trial."""

    system: str
    picture: str


@dataclass(frozen=True)
class Trial:
    """`a` is on the left or above, `b` on the right or below; `pair`: its place in the manifest, None of a catch."""

    crop: int
    pair: int | None
    a: Shown
    b: Shown


def participant_seed(study_seed: int, number: int) -> int:
    """Of the participant with this number, below 2**48."""
    return int.from_bytes(sha256(f"{study_seed}/participant {number}".encode()).digest()[:6], "big")


def plan_session(manifest: Manifest, seed: int) -> list[Trial]:
    """A random part of the pairs, as even over the pairs of systems as it goes, in random order; catch trials spread
    evenly, never first. A session is the same for the same seed."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(_even_choice(manifest, rng)).tolist()
    trials = []
    for place in chosen:
        pair = manifest.pairs[place]
        shown = [Shown(name, manifest.crops[pair.crop].shown[name]) for name in pair.systems]
        trials.append(_on_sides(pair.crop, place, shown, rng))
    count = min(manifest.catches, len(manifest.catch_pairs))
    caught = rng.choice(len(manifest.catch_pairs), size=count, replace=False).tolist()
    for number, place in reversed(list(enumerate(caught))):
        catch = manifest.catch_pairs[place]
        shown = [Shown(ORIGINAL, catch.original), Shown(DEGRADED, catch.degraded)]
        first, last = (len(chosen) * step // count for step in (number, number + 1))
        where = int(rng.integers(max(1, min(first + 1, last)), max(1, last) + 1))
        trials.insert(where, _on_sides(catch.crop, None, shown, rng))
    return trials


def _on_sides(crop: int, pair: int | None, shown: list[Shown], rng: np.random.Generator) -> Trial:
    a, b = shown[::-1] if rng.integers(2) else shown
    return Trial(crop, pair, a, b)


def _even_choice(manifest: Manifest, rng: np.random.Generator) -> list[int]:
    """Places of pairs: one of each two systems, then another of each, until there are enough."""
    by_systems: dict[tuple[str, str], list[int]] = {}
    for place, pair in enumerate(manifest.pairs):
        by_systems.setdefault(pair.systems, []).append(place)
    ranked = []
    for places in by_systems.values():
        order = rng.permutation(places).tolist()
        ranked += [(rank, float(rng.random()), place) for rank, place in enumerate(order)]
    return [place for _, _, place in sorted(ranked)[: manifest.trials]]
