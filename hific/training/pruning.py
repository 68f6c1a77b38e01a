"""A run that others have left behind ends before its last batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lightning import Callback, LightningModule, Trainer

from hific.training.adversarial_module import AdversarialModule

Report = Callable[[Mapping[str, float], int], bool]
"""Of a validation's metrics and the number of batches: whether the run may end."""


class PrunedError(Exception):
    """Not an error of anyone's. metrics: the last that were logged."""

    def __init__(self, step: int, metrics: Mapping[str, float]) -> None:
        super().__init__(f"pruned after {step} batches")
        self.metrics = metrics


class EndPruned(Callback):
    """Ends a run on all its ranks, by PrunedError and without what is fitted at the end, after a validation of which
    the first rank is told that it may.

    Validations of HiFiC's first stage count where no second one follows, as for best.ckpt.
    """

    def __init__(self, report: Report | None) -> None:
        """report: None where nobody compares, and on other ranks than the first."""
        self._report = report

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        comparable = not isinstance(pl_module, AdversarialModule) or pl_module.is_comparable
        if not comparable or trainer.sanity_checking:
            return
        metrics = {name: float(one) for name, one in trainer.callback_metrics.items()}
        ends = True  # also where asking fails: the other ranks must not wait for an answer
        try:
            ends = self._report is not None and self._report(metrics, trainer.global_step)
        finally:
            if trainer.world_size > 1:
                ends = trainer.strategy.broadcast(ends)
        if ends:
            raise PrunedError(trainer.global_step, metrics)
