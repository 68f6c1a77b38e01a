"""A run that others have left behind ends before its last batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from lightning import Callback, LightningModule, Trainer

from hific.training.adversarial_module import AdversarialModule

log = logging.getLogger(__name__)


class PrunedError(Exception):
    """Not an error of anyone's. metrics: the last that were logged."""

    def __init__(self, step: int, metrics: Mapping[str, float]) -> None:
        super().__init__(f"pruned after {step} batches")
        self.metrics = metrics


class ReportValidations(Callback):
    """Tells a metric of each validation to `report`, which answers whether the run may end: then it does, by
    PrunedError, without what is fitted at the end. Runs of several processes are told of and never pruned.

    Validations of HiFiC's first stage count where no second one follows, as for best.ckpt.
    """

    def __init__(self, metric: str, report: Callable[[float, int], bool]) -> None:
        """report: of the value and the number of batches."""
        self.metric = metric
        self._report = report

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(self.metric)
        comparable = not isinstance(pl_module, AdversarialModule) or pl_module.is_comparable
        if value is None or not comparable or trainer.sanity_checking or not trainer.is_global_zero:
            return
        if self._report(float(value), trainer.global_step) and trainer.world_size == 1:
            metrics = {name: float(one) for name, one in trainer.callback_metrics.items()}
            raise PrunedError(trainer.global_step, metrics)
