"""Ctrl-C ends training after the batch in hand, with a checkpoint that resumes exactly."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer

log = logging.getLogger(__name__)


class GracefulStop(Callback):
    """The first SIGINT or SIGTERM asks for a stop, the next one interrupts at once. All ranks stop after one batch."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.requested = False
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not before: Lightning would compose it with a handler of its own, by which SIGTERM ends the run before it is
        # saved, with status 0 (Lightning#19916).
        for number in self._previous:
            signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        log.warning(
            "stopping after this batch and saving last.ckpt, its coding fitted on photos; once more to stop at once"
        )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.strategy.reduce_boolean_decision(self.requested, all=False):
            self.requested = trainer.should_stop = True
            trainer.limit_val_batches = 0  # Lightning would validate first

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
