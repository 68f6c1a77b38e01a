"""What is fitted to a trained model, when training has ended: by the first rank, to what all ranks have of photos."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch.distributed as dist
from torch import Tensor

from hific.errors import OptionError

Item = TypeVar("Item")
Fitted = TypeVar("Fitted")
Photos = Callable[[int], Iterable[Tensor]]
"""Up to so many whole photos [1, 3, H, W] in [0, 1], on the model's device; to be gone through once or again."""


@dataclass(frozen=True)
class PhotoFit:
    """One thing that is fitted. name: its choice in the configuration and in reports; num_photos: whole training photos
    that it is fitted to, at most; fit: None where there is nothing to fit."""

    name: str
    num_photos: int
    fit: Callable[..., Any] | None

    def __post_init__(self) -> None:
        if self.num_photos < 0:
            raise OptionError(f"{self.name}: num_photos={self.num_photos} is 0 or more")


@dataclass(frozen=True)
class Fitting:
    """context_model: latents are coded by it; postfilter: decoded images are corrected by it."""

    context_model: PhotoFit
    postfilter: PhotoFit

    @property
    def info(self) -> dict[str, str]:
        """What there is, as plain values for reports."""
        chosen = {"context_model": self.context_model.name, "postfilter": self.postfilter.name}
        return {option: name for option, name in chosen.items() if name != "none"}


class FittedCoding(NamedTuple):
    """What files are coded with; seconds: that fitting the context model and the post-filter took, 0 without."""

    coding: Any
    seconds: float = 0.0

    @property
    def info(self) -> dict[str, float]:
        return {"fit_seconds": round(self.seconds, 1)} if self.seconds else {}


def fit_to_all(option: str, fit: Callable[[Sequence[Item]], Fitted], items: Sequence[Item]) -> Fitted | None:
    """`fit` of the `items` of all ranks, one a photo; None on other ranks than the first. OptionError where they are
    fewer than two.
    """
    gathered = _in_turn(_of_all_ranks(list(items)))
    fitted = None
    if not dist.is_initialized() or dist.get_rank() == 0:
        if len(gathered) < 2:
            raise OptionError(
                f"{option} is fitted to two training photos or more, not {len(gathered)}: "
                f"{option}.num_photos or data.root has too few"
            )
        fitted = fit(gathered)
    if dist.is_initialized():
        dist.barrier()
    return fitted


class Stopwatch:
    """Seconds spent inside `with`, in sum."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


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
