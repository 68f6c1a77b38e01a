"""HiFiC's two stages, counted in batches."""

from __future__ import annotations

from dataclasses import dataclass

from hific.errors import OptionError


@dataclass(frozen=True)
class Stages:
    """How many batches each takes; 0 leaves one out, and both over a base checkpoint."""

    first: int
    second: int
    over_base: bool = False

    def __post_init__(self) -> None:
        given = f"stage1_steps={self.first} and stage2_steps={self.second}"
        if min(self.first, self.second) < 0:
            raise OptionError(f"{given} are 0 or more")
        if self.first + self.second == 0 and not self.over_base:
            raise OptionError(f"{given} leave nothing to train")
        if self.first + self.second > 0 and self.over_base:
            raise OptionError(f"base_checkpoint stays as it is: {given} are both 0 with it")

    def number(self, step: int) -> int:
        """1 or 2: which the batch belongs to."""
        return 1 if step < self.first else 2

    def progress(self, step: int) -> float:
        """Share of its stage that is done; never reaches 1 in it."""
        if step < self.first:
            return step / self.first
        return min((step - self.first) / max(1, self.second), 1.0)
