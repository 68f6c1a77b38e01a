"""HiFiC's two stages, counted in batches."""

from __future__ import annotations

from dataclasses import dataclass

from hific.errors import OptionError


@dataclass(frozen=True)
class Stages:
    """How many batches each takes, without and with the adversary; 0 leaves one out."""

    stage1_steps: int
    stage2_steps: int

    def __post_init__(self) -> None:
        given = f"stage1_steps={self.stage1_steps} and stage2_steps={self.stage2_steps}"
        if min(self.stage1_steps, self.stage2_steps) < 0:
            raise OptionError(f"{given} are 0 or more")
        if self.total == 0:
            raise OptionError(f"{given} leave nothing to train")

    @property
    def total(self) -> int:
        return self.stage1_steps + self.stage2_steps

    def number(self, step: int) -> int:
        """1 or 2: which the batch belongs to."""
        return 1 if step < self.stage1_steps else 2

    def progress(self, step: int) -> float:
        """Share of its stage that is done; never reaches 1 in it."""
        if step < self.stage1_steps:
            return step / self.stage1_steps
        return min((step - self.stage1_steps) / max(1, self.stage2_steps), 1.0)

    def learned_in_last(self, step: int) -> bool:
        """Whether weights after so many batches are the last stage's: what stages aim at cannot be compared."""
        return self.stage2_steps == 0 or step > self.stage1_steps
