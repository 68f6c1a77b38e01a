"""best.ckpt, among weights that can be compared."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from hific.training.adversarial_module import AdversarialModule


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, but for HiFiC's first stage, whose validations do not count where a second one follows: it aims at
    nothing but what is measured, and would win by construction."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, AdversarialModule) and pl_module.is_comparable:
            super().on_validation_end(trainer, pl_module)
