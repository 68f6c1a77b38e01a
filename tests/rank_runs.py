"""Trains small models by train.py's own way, on one rank or as one of two, for tests/training/test_ranks.py.

python rank_runs.py OUT PHOTOS CASE ...         LOCAL_RANK and MASTER_PORT in the environment make it one of two
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from lightning import Callback, LightningModule, Trainer
from rank_callback import coding_state
from tiny_overrides import tiny

REPOSITORY = Path(__file__).resolve().parents[1]
SGD = "{_target_: torch.optim.SGD, lr: 0.01}"  # Adam would make much of gradients near 0
COMMON = ["recipe.batch_size=4", "recipe.val_check_interval=2", "recipe.view_shift=8", "recipe.crop=48"]
COMMON += ["recipe.phase_pattern_weight=3", "recipe.gradient_clip=0.5", "context_model=linear"]
COMMON += ["context_model.num_photos=4"]
COMPRESSNET = ["recipe.steps=3", "recipe.true_switches_until=0.9", "recipe.latent_spread_weight=2", *COMMON]
COMPRESSNET += [
    f"recipe.optimizer={SGD}",
    f"recipe.discriminator_optimizer={SGD}",
    "~recipe.discriminator_optimizer.betas",
]
HIFIC = ["recipe.initialization=klt", "model.ema_decay=0.5", "recipe.perceptual_samples=2", *COMMON]
HIFIC += [f"model.optimization.optimizer={SGD}", f"model.adversary.optimizer={SGD}"]
CASES = {
    **{model: [f"model={model}", *COMPRESSNET] for model in ("sae", "swwae", "sae_spn", "gc")},
    "hific": ["model=hific", *HIFIC],
    # Errors have more in common in a part than in a batch.
    "parts": ["model=hific", *HIFIC, "speed.accumulate=2", "recipe.phase_pattern_weight=0", "recipe.batch_size=8"],
}
CASES["sae_spn"].append("model.adversary.start=0.5")
CASES["gc"].append("~recipe.optimizer.betas")


class Keep(Callback):
    """What a run leaves, step by step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.batches: list[torch.Tensor] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch.clone())

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})
        if trainer.global_step == 1:
            self.first = {name: one.grad.clone() for name, one in module.named_parameters() if one.grad is not None}

    def on_fit_end(self, trainer: Trainer, module: Any) -> None:
        self.state = {
            "weights": module.state_dict(),
            "gradients": self.first,
            "coding": coding_state(module),
            "fitted": sorted(module.fitted.coding.state()),
            "controller": module.rate_target.state_dict() if hasattr(module, "rate_target") else {},
        }


def main(out: Path, photos: str, names: list[str]) -> None:
    sys.path.insert(0, str(REPOSITORY))
    sys.argv = ["train.py"]
    import train as train_file
    from hific.cli import training

    rank = os.environ.get("LOCAL_RANK")
    ranks = [] if rank is None else ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    quiet = ["~callbacks.progress", "trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1", "logger=none"]
    data = ["data=folder", f"data.root={photos}", "data.epoch_batches=8"]
    for name in names:
        keep = Keep()
        run = out / f"{name}_{'alone' if rank is None else 'two'}"
        with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
            overrides = [*tiny(CASES[name]), *quiet, *data, *CASES[name], *ranks, f"output_dir={run}"]
            config = compose("train", overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        make_trainer = training.make_trainer
        training.make_trainer = lambda *given, make=make_trainer, keep=keep: _with(make(*given), keep)
        outcome = train_file.train(config)
        training.make_trainer = make_trainer
        kept = {**keep.state, "steps": keep.steps, "batches": keep.batches, "metrics": dict(outcome.metrics)}
        torch.save(kept, out / f"{name}_{rank or 'alone'}.pt")


def _with(trainer: Trainer, callback: Callback) -> Trainer:
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    return trainer


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
