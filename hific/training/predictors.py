"""What is fitted to a trained model, when training has ended: by the first rank, to what all ranks have of photos."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist

from hific.context.fit_neighbors import NeighborFit
from hific.context.fit_refinement import RefinementFit
from hific.errors import OptionError

Item = TypeVar("Item")
Fitted = TypeVar("Fitted")


@dataclass
class Predictors:
    """How predictors are made, None for those that are not, and what configuration calls them.

    neighbor: latents are coded by it (hific_xgboost, hific_knn); `coding` is its name. refinement: decoded images are
    refined by it; `refine` is its name. seconds: that fitting took.
    """

    neighbor: NeighborFit | None
    coding: str
    refinement: RefinementFit | None = None
    refine: str = "none"
    seconds: float = 0.0

    @property
    def info(self) -> dict[str, Any]:
        """Plain values for reports, of what there is."""
        found = {"coding": self.coding, "refine": self.refine}
        info: dict[str, Any] = {option: name for option, name in found.items() if name != "none"}
        return info | ({"fit_seconds": round(self.seconds, 1)} if self.seconds else {})

    def fit(self, fit: Callable[[Sequence[Item]], Fitted], items: Sequence[Item]) -> Fitted | None:
        """`fit` of the `items` of all ranks, one a photo; None on other ranks than the first. OptionError where they
        are fewer than two.
        """
        gathered = _in_turn(_of_all_ranks(list(items)))
        fitted = None
        if not dist.is_initialized() or dist.get_rank() == 0:
            if len(gathered) < 2:
                raise OptionError(
                    f"a predictor learns from two training photos or more, not {len(gathered)}: "
                    "callbacks.tables.num_photos or data.root has too few"
                )
            start = time.perf_counter()
            fitted = fit(gathered)
            self.seconds += time.perf_counter() - start
        if dist.is_initialized():
            dist.barrier()
        return fitted


def share_of_rank(photos: Iterable[Item]) -> Iterable[Item]:
    """Every so manyth of the photos, all of them without DDP."""
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return (photo for index, photo in enumerate(photos) if index % ranks == rank)


def _of_all_ranks(items: list[Item]) -> list[list[Item]]:
    if not dist.is_initialized():
        return [items]
    gathered: list[list[Item]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(gathered, items)
    return gathered


def _in_turn(by_rank: list[list[Item]]) -> list[Item]:
    """The order that one rank alone would have had."""
    longest = max(map(len, by_rank))
    return [items[index] for index in range(longest) for items in by_rank if index < len(items)]
