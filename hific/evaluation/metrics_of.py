"""The metrics of one evaluation, applied to pairs of images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from hific.evaluation.codecs_under_test import Pixels
from hific.evaluation.content_cache import ContentCache, Entry, key_of
from hific.metrics.image_metric import Absent, ImageMetric, SetMetric

MakePair = Callable[[], tuple[Pixels, Pixels]]


@dataclass(frozen=True)
class Measured:
    """`values`: numbers, none of them NaN; `absent`: for each metric without a number, why."""

    values: Mapping[str, float]
    absent: Mapping[str, str]


def split_absent(results: Mapping[str, float | Absent]) -> Measured:
    """Values and reasons; NaN is no value."""
    absent = {name: result.reason for name, result in results.items() if isinstance(result, Absent)}
    values = {name: float(result) for name, result in results.items() if not isinstance(result, Absent)}
    absent |= {name: "not a number" for name, value in values.items() if math.isnan(value)}
    return Measured({name: value for name, value in values.items() if name not in absent}, absent)


@dataclass(frozen=True)
class MeasuredCache:
    """What was measured of pairs and sets of them in earlier evaluations. `identity`: of the metrics, which is all that
    the numbers follow from beside the pixels."""

    cache: ContentCache
    identity: str

    def pair(self, pair: bytes) -> Measured | None:
        entry = self.cache.read("metrics", self._key(pair))
        return None if entry is None else Measured(**entry.facts)

    def keep_pair(self, pair: bytes, measured: Measured) -> None:
        self.cache.write("metrics", self._key(pair), Entry(asdict(measured)))

    def sets_beginning_with(self, pair: bytes) -> dict[tuple[bytes, ...], Measured]:
        entry = self.cache.read("set_metrics", self._key(pair))
        sets = entry.facts["sets"] if entry else ()
        return {tuple(map(bytes.fromhex, pairs)): Measured(**measured) for pairs, measured in sets}

    def keep_set(self, pairs: Sequence[bytes], measured: Measured) -> None:
        known = {**self.sets_beginning_with(pairs[0]), tuple(pairs): measured}
        sets = [([pair.hex() for pair in one], asdict(found)) for one, found in known.items()]
        self.cache.write("set_metrics", self._key(pairs[0]), Entry({"sets": sets}))

    def _key(self, pair: bytes) -> str:
        return key_of({"metrics": self.identity, "pair": pair.hex()})


@dataclass(frozen=True)
class Metrics:
    """`of_set` makes a new list for each set: set metrics collect what they are shown.

    A pair that was measured is not measured again, nor is a set of them: three codings of one latent decode to the same
    pixels.
    """

    of_image: Sequence[ImageMetric]
    of_set: Callable[[], Sequence[SetMetric]] = tuple
    cache: MeasuredCache | None = None
    _known: dict[bytes, Measured] = field(default_factory=dict, repr=False, compare=False)
    _known_sets: dict[tuple[bytes, ...], Measured] = field(default_factory=dict, repr=False, compare=False)

    def measure(self, image: Pixels, reconstruction: Pixels) -> Measured:
        """Of uint8 [H, W, 3] each, both of one size."""
        key = pair_digest(image, reconstruction)
        if key not in self._known:
            self._known[key] = self._found(key) or self._measured(key, image, reconstruction)
        return self._known[key]

    def _found(self, key: bytes) -> Measured | None:
        return self.cache.pair(key) if self.cache else None

    def _measured(self, key: bytes, image: Pixels, reconstruction: Pixels) -> Measured:
        results = {metric.name: metric(image, reconstruction) for metric in self.of_image}
        measured = split_absent(results)
        if self.cache and not any(isinstance(result, Absent) and result.for_now for result in results.values()):
            self.cache.keep_pair(key, measured)
        return measured

    def new_set(self) -> SetMeasure:
        return SetMeasure(self.of_set, self._known_sets, self.cache)


class SetMeasure:
    """The set metrics of one system.

    As long as the pairs are those of a set in `known`, in its order, none is measured: they wait as the functions that
    make them again, so that no pixels are kept. The first pair of another set makes all that wait be measured.
    """

    def __init__(
        self,
        of_set: Callable[[], Sequence[SetMetric]],
        known: dict[tuple[bytes, ...], Measured],
        cache: MeasuredCache | None = None,
    ) -> None:
        self._of_set = of_set
        self._known = known
        self._cache = cache
        self._metrics: Sequence[SetMetric] | None = None
        self._keys: tuple[bytes, ...] = ()
        self._waiting: list[MakePair] = []

    def update(self, image: Pixels, reconstruction: Pixels, again: MakePair) -> None:
        """Adds a pair, uint8 [H, W, 3] each; `again` gives the same pair anew."""
        self._keys = (*self._keys, pair_digest(image, reconstruction))
        if self._cache and len(self._keys) == 1:
            self._known.update(self._cache.sets_beginning_with(self._keys[0]))
        if self._metrics is None and any(known[: len(self._keys)] == self._keys for known in self._known):
            self._waiting.append(again)
            return
        self._measure_waiting()
        self._show(image, reconstruction)

    def compute(self) -> Measured:
        """Of all pairs so far; without values and reasons where there are no set metrics."""
        if self._keys not in self._known:
            self._measure_waiting()
            results: dict[str, float | Absent] = {}
            for metric in self._metrics or ():
                results |= metric.compute()
            self._known[self._keys] = split_absent(results)
            if self._cache and self._metrics:
                self._cache.keep_set(self._keys, self._known[self._keys])
        return self._known[self._keys]

    def _measure_waiting(self) -> None:
        for again in self._waiting:
            self._show(*again())
        self._waiting = []

    def _show(self, image: Pixels, reconstruction: Pixels) -> None:
        if self._metrics is None:
            self._metrics = self._of_set()
        for metric in self._metrics:
            metric.update(image, reconstruction)


def pair_digest(image: Pixels, reconstruction: Pixels) -> bytes:
    """SHA-256 of size and pixels, uint8 [H, W, 3] each."""
    digest = hashlib.sha256(str(image.shape).encode())
    for pixels in (image, reconstruction):
        digest.update(pixels.tobytes())
    return digest.digest()
