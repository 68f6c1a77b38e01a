"""Which photo and which augmentation each place in a training run gets: pure functions of (seed, global batch, rank).

    batch b of rank r, slot s  ->  position p = (b * world_size + r) * batch_size + s    (until batches double)
    position p of n photos     ->  pass p // n, photo permutation(seed, pass)[p % n], generator(seed, p)

The stream of positions runs through from the first batch of a run to its last, over passes and epochs alike, so a run
that is resumed needs to know nothing but how many batches were done. It does not depend on the number of workers, and
two ranks of batch size B see together what one of batch size 2 B sees alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

# First word of a seed sequence, so that the two kinds of randomness never share a stream.
ORDER, AUGMENTATION = 1, 2


@lru_cache(maxsize=2)  # a batch lies in two passes at most, unless it is larger than the set
def permutation(seed: int, pass_number: int, length: int) -> NDArray[np.int64]:
    """The order of `length` photos in one pass: a shuffle of 0 .. length - 1."""
    return np.random.default_rng((ORDER, seed, pass_number)).permutation(length)


def photo_index(seed: int, position: int, length: int) -> int:
    """Which of `length` photos stands at a position; each occurs once in every pass."""
    pass_number, place = divmod(position, length)
    return int(permutation(seed, pass_number, length)[place])


def augmentation_generator(seed: int, position: int) -> np.random.Generator:
    """The source of all that is random about the sample at a position."""
    return np.random.default_rng((AUGMENTATION, seed, position))


class PositionBatchSampler(Sampler[list[int]]):
    """Batches of positions for one rank, `num_batches` an epoch, from the batch that `first_batch()` names.

    `first_batch` is asked whenever an epoch begins or a run is resumed: the count of batches done so far. On a resume
    within an epoch the trainer ends the epoch where it would have ended, before this sampler does. From batch number
    `double_from` on batches hold twice as many positions: those that follow in the same stream.
    """

    def __init__(
        self,
        batch_size: int,
        num_batches: int,
        first_batch: Callable[[], int],
        *,
        rank: int = 0,
        world_size: int = 1,
        double_from: int | None = None,
    ) -> None:
        self.batch_size, self.num_batches, self.first_batch = batch_size, num_batches, first_batch
        self.rank, self.world_size, self.double_from = rank, world_size, double_from

    def __iter__(self) -> Iterator[list[int]]:
        first = self.first_batch()
        return (self._positions(batch) for batch in range(first, first + self.num_batches))

    def __len__(self) -> int:
        return self.num_batches

    def _positions(self, batch: int) -> list[int]:
        doubled = 0 if self.double_from is None else max(0, batch - self.double_from)
        is_double = self.double_from is not None and batch >= self.double_from
        size = self.batch_size * (2 if is_double else 1)
        # All ranks' positions of the batches before this one; each of those that are doubled counts once more.
        start = (batch + doubled) * self.world_size * self.batch_size + self.rank * size
        return list(range(start, start + size))
