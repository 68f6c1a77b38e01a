"""Searches of the images to come, in threads, while the metrics of one are taken.

    image 1   search ── metrics
    image 2   search ────────── metrics
    image 3             search ───────── metrics          workers=2; rows stay in the order of the images

Threads do: encoders run outside of Python's lock, or in programs of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING

from hific.codecs.base import ImageLike
from hific.evaluation.codecs_under_test import CodecUnderTest, EncodeSpec
from hific.evaluation.rate_search import CodecFamily, Made, Make, ScaledCodec

if TYPE_CHECKING:
    from hific.evaluation.evaluate import EvaluationImage

SpecOf = Callable[[], EncodeSpec]


class SearchAhead:
    """A context; leaving it ends the searches that are left, after the file that each is at."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="search")
        self._left = Event()

    def __enter__(self) -> SearchAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._pool.shutdown(cancel_futures=True)

    def while_wanted(self, make: Make) -> Make:
        """As `make`; raises CancelledError when the context was left."""

        def make_if_wanted(family: CodecFamily, codec: ScaledCodec, image: ImageLike) -> Made:
            if self._left.is_set():
                raise CancelledError
            return make(family, codec, image)

        return make_if_wanted

    def specs(self, system: CodecUnderTest, images: Sequence[EvaluationImage]) -> Iterator[SpecOf]:
        """Of each image, in their order; each returns what `system.spec` does, and raises what it raises."""
        return iter([self._pool.submit(_spec, system, image).result for image in images])


def _spec(system: CodecUnderTest, image: EvaluationImage) -> EncodeSpec:
    return system.spec(image.name, image.read())
