"""How a training is computed, not what: any of these leaves it the same, to rounding, in other time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hific.errors import OptionError


@dataclass(frozen=True)
class Speed:
    """Options of `speed=`; `trainer.precision` is the sixth.

    Args:
        compile: analysis and synthesis by torch.compile: a minute or more before the first batch.
        channels_last: weights and images by position, their channels beside each other, which convolutions like on CPUs
            and in half precisions.
        fused: optimizers step in one kernel for all weights.
        accumulate: equal parts that a rank computes its share of a batch in, one after another: memory as of a batch
            that is so many times smaller. What is a function of a whole batch (the spread of latents, the pattern that
            all errors have in common, statistics of normalization=batch) is then one of a part of all ranks.
        checkpoint_synthesis: activations of the synthesis's blocks are computed again in the backward pass, not kept.
    """

    compile: bool = False
    channels_last: bool = True
    fused: bool = False
    accumulate: int = 1
    checkpoint_synthesis: bool = False

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise OptionError(f"speed.accumulate={self.accumulate} must be 1 or more")

    def prepared(self, model: nn.Module) -> Any:
        """The model, changed in place."""
        model = model.to(memory_format=self.memory_format)
        parts: Any = model
        parts.synthesis.recompute = self.checkpoint_synthesis
        if self.compile:
            parts.analysis.compile()
            parts.synthesis.compile()
        return model

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def laid_out(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=self.memory_format)

    @property
    def of_optimizers(self) -> dict[str, bool]:
        """Arguments of their constructors."""
        return {"fused": True} if self.fused else {}

    def check_share(self, images: int) -> None:
        """OptionError where so many images of a rank have no equal parts."""
        if images % self.accumulate:
            raise OptionError(
                f"speed.accumulate={self.accumulate} does not divide the {images} images that a rank has of a batch "
                "(data.global_batch_size over all ranks)"
            )


PLAIN = Speed()
