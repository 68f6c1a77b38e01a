"""One training step's loss, term by term, by formulas that are written out here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig

Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]
SEEN: list[tuple[torch.Tensor, LightningModule, LightningModule]] = []


class Keep(Callback):
    """The first batch, the module before it and after it."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        # A trainer is not to be copied.
        self.before = copy.deepcopy({"model": pl_module.model, "adversary": pl_module.adversary})

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        SEEN.append((batch.clone(), self.before["model"], copy.deepcopy(pl_module.adversary)))


KEEPING = [f"+callbacks.keep._target_={__name__}.Keep", "recipe.val_check_interval=1"]


@pytest.fixture(autouse=True)
def _forget() -> None:
    SEEN.clear()


def test_hific_stage_1(composed: Composed, train: Train) -> None:
    two = ["recipe.rate_integral=0", "recipe.rate_averaged_over=1", "recipe.local_color_weight=0.5"]
    config = composed("model=hific", "recipe.stage1_steps=1", "recipe.stage2_steps=0", *two, *KEEPING)
    logged = train(config).metrics
    batch, model, _ = SEEN[0]
    state = torch.Generator().manual_seed(_seed_of_first_batch())
    with torch.no_grad():
        output = model.train()(batch, state)
    error = output.reconstruction - batch
    mse = 0.075 * 2**-5 * 255**2 * error.square().mean()
    color = 0.5 * 255**2 * F.avg_pool2d(error, 16).square().mean()
    above = output.estimated_bpp_quantized > 0.14 * 1.43
    rate = (8.0 if above else 0.0625) / 2 * output.estimated_bpp_noisy  # halved in the warm-up
    expected = {"mse": mse, "local_color": color, "rate": rate, "loss": mse + color + rate}
    assert {name: logged[f"train/{name}"] for name in expected} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-4
    )


def test_hific_stage_2_weighs_the_adversary_by_beta(composed: Composed, train: Train) -> None:
    logged = train(composed("model=hific", "recipe.stage1_steps=0", "recipe.stage2_steps=1", *KEEPING)).metrics
    terms = [logged[f"train/{name}"] for name in ("mse", "rate", "adversarial")]
    assert logged["train/loss"] == pytest.approx(sum(terms), rel=1e-5)
    # beta softplus(-D), and D's own: softplus(-D(x)) + softplus(D(x_hat)), with logits near 0 before it learns.
    assert logged["train/adversarial"] == pytest.approx(0.15 * torch.log(torch.tensor(2.0)), rel=0.5)
    assert logged["train/discriminator"] == pytest.approx(2 * torch.log(torch.tensor(2.0)), rel=0.5)


def test_compressnet(composed: Composed, train: Train) -> None:
    weights = ["recipe.mse_weight=3", "recipe.layerwise_weight=0.5", "recipe.adversarial_weight=0.25"]
    quiet = ["recipe.latent_spread_weight=0", "recipe.switch_prediction_weight=2", "recipe.true_switches_until=0"]
    logged = train(composed("model=sae_spn", "recipe.steps=1", *weights, *quiet, *KEEPING)).metrics
    batch, model, adversary = SEEN[0]
    image = 2 * batch - 1
    with torch.no_grad():
        output = model.train()(image, 0.0)
        analysis, synthesis = output.analysis, output.synthesis
        mse = 3 * (output.reconstruction - image).square().mean()
        maps = zip(synthesis.features, analysis.features, strict=True)
        layerwise = 0.5 * sum((one - other).square().mean() for one, other in maps)
        errors = F.cross_entropy(synthesis.switch_prediction, analysis.switches[0], reduction="none")
        switches = 2 * errors[~analysis.tied[0]].mean()
        (logits,), _ = adversary.discriminator(output.reconstruction)  # which has made its step by then
        adversarial = 0.25 * F.softplus(-logits).mean()
    expected = {"mse": mse, "layerwise": layerwise, "switch_prediction": switches, "adversarial": adversarial}
    expected["loss"] = sum(expected.values())
    assert {name: logged[f"train/{name}"] for name in expected} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-4
    )


def _seed_of_first_batch() -> int:
    """(seed 1, batch 0, rank 0), as the modules draw it."""
    import numpy as np

    return int(np.random.SeedSequence([1, 0, 0]).generate_state(1, np.uint64)[0]) >> 1
