"""Learning-rate schedules: functions of the share of the training that is done, so that small runs keep their shape."""

from __future__ import annotations

import math
from typing import Protocol


class Schedule(Protocol):
    """`progress` in [0, 1) to the factor on the base learning rate."""

    def __call__(self, progress: float) -> float: ...


class CosineSchedule:
    """Rises linearly over the first `warmup` share, then falls along half a cosine to `floor`."""

    def __init__(self, warmup: float = 0.02, floor: float = 0.01) -> None:
        self.warmup = warmup
        self.floor = floor

    def __call__(self, progress: float) -> float:
        rise = min(1.0, (progress + 1e-4) / self.warmup) if self.warmup > 0 else 1.0
        return rise * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class HalvingSchedule:
    """Halves `times` times at equal distances (compressnet, section 4.1: a scheduler with decay .5); 0 is constant."""

    def __init__(self, times: int = 4) -> None:
        self.times = times

    def __call__(self, progress: float) -> float:
        return 0.5 ** min(self.times, int(progress * (self.times + 1)))


class StepSchedule:
    """Constant, then times `factor` from the share `at` of the training (or stage) on: HiFiC's x0.1 at one half."""

    def __init__(self, at: float = 0.5, factor: float = 0.1) -> None:
        self.at = at
        self.factor = factor

    def __call__(self, progress: float) -> float:
        return self.factor if progress >= self.at else 1.0
