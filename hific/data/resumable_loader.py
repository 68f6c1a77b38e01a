"""The training loader: one that Lightning may resume within an epoch."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from hific.data.datasets import TrainingCrops
from hific.data.sample_order import PositionBatchSampler


class ResumableLoader(DataLoader[Tensor]):
    """A loader whose place in the stream is the trainer's own count of batches, so that it has no state to restore.

    What it stores in a checkpoint is what the stream depends on besides: on a resume with other values the run goes
    on, but not as the unbroken one would have, and a warning says so.
    """

    dataset: TrainingCrops

    def state_dict(self) -> dict[str, Any]:
        sampler = self.batch_sampler
        assert isinstance(sampler, PositionBatchSampler)
        return {
            "seed": self.dataset.seed,
            "photos": len(self.dataset),
            "batch": sampler.batch_size * sampler.world_size,
            "epoch_batches": sampler.num_batches,
            "double_from": sampler.double_from,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        changed = {name: (state.get(name), now) for name, now in self.state_dict().items() if state.get(name) != now}
        if changed:
            listed = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in changed.items())
            rank_zero_warn(f"the resumed run draws other batches than an unbroken one would: {listed}")
