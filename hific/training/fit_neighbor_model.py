"""A neighbor model for a trained auto-encoder, from the latents that its ranks have of training photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch.distributed as dist

from hific.context.fit_neighbors import TrainingLatent
from hific.context.neighbor_model import NeighborModel
from hific.ops.option_error import OptionError

Photo = TypeVar("Photo")


def fit_neighbor_model(
    fit: Callable[[Sequence[TrainingLatent]], NeighborModel], latents: Sequence[TrainingLatent]
) -> NeighborModel | None:
    """Gathers the `latents` of all ranks; the first rank, which writes the checkpoint, fits, the others get None."""
    gathered = _in_turn(_of_all_ranks(list(latents)))
    if dist.is_initialized() and dist.get_rank() > 0:
        dist.barrier()
        return None
    if len(gathered) < 2:
        raise OptionError(
            f"a neighbor predictor learns from two training photos or more, not {len(gathered)}: "
            "callbacks.tables.num_photos or data.root has too few"
        )
    model = fit(gathered)
    if dist.is_initialized():
        dist.barrier()
    return model


def share_of_rank(photos: Iterable[Photo]) -> Iterable[Photo]:
    """Every so manyth of the photos, all of them without DDP."""
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return (photo for index, photo in enumerate(photos) if index % ranks == rank)


def _of_all_ranks(latents: list[TrainingLatent]) -> list[list[TrainingLatent]]:
    if not dist.is_initialized():
        return [latents]
    gathered: list[list[TrainingLatent]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(gathered, latents)
    return gathered


def _in_turn(by_rank: list[list[TrainingLatent]]) -> list[TrainingLatent]:
    """The order that one rank alone would have had."""
    longest = max(map(len, by_rank))
    return [latents[index] for index in range(longest) for latents in by_rank if index < len(latents)]
