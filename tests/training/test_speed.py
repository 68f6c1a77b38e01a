"""speed= changes how a training is computed, not what: gradients and losses stay, to rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from training.watching import BATCHES, WATCHING

import hific
from hific.errors import OptionError

Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]
COMMON = [*WATCHING, "recipe.batch_size=4", "recipe.phase_pattern_weight=0"]
MODELS = {
    # What is a function of all images of a batch is one of a part where there are parts.
    "sae_spn": [
        "model=sae_spn",
        "recipe.steps=2",
        "recipe.latent_spread_weight=0",
        "recipe.switch_prediction_weight=0",
    ],
    "hific": ["model=hific", "recipe.initialization=klt", "recipe.stage1_steps=1", "recipe.stage2_steps=1"],
}
SWITCHES = ["channels_last=false", "fused=true", "accumulate=2", "checkpoint_synthesis=true"]


@pytest.fixture(scope="module")
def plain() -> dict[str, tuple[list[dict[str, float]], list[dict[str, Tensor]]]]:
    """Of each model, trained once: metrics and gradients of every batch."""
    return {}


def trained(train: Train, config: DictConfig) -> tuple[list[dict[str, float]], list[dict[str, Tensor]]]:
    train(config)
    return [batch.metrics for batch in BATCHES], [batch.gradients for batch in BATCHES]


@pytest.mark.parametrize("switch", [*SWITCHES, pytest.param("compile=true", marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", MODELS)
def test_it_is_the_same_training(model: str, switch: str, composed: Composed, train: Train, plain: Any) -> None:
    if model not in plain:
        plain[model] = trained(train, composed(*MODELS[model], *COMMON))
    due, due_gradients = plain[model]
    metrics, gradients = trained(train, composed(*MODELS[model], *COMMON, f"speed.{switch}"))
    assert len(metrics) == len(due) == 2
    for found, expected in zip(metrics, due, strict=True):
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, rel=1e-2, abs=1e-4)
    assert gradients[0].keys() == due_gradients[0].keys()
    for name, gradient in due_gradients[0].items():
        torch.testing.assert_close(
            gradients[0][name], gradient, rtol=1e-2, atol=1e-3 * float(gradient.abs().max()) + 1e-7
        )


@pytest.mark.parametrize("model", MODELS)
def test_bfloat16_trains(model: str, composed: Composed, train: Train, plain: Any) -> None:
    if model not in plain:
        plain[model] = trained(train, composed(*MODELS[model], *COMMON))
    metrics, gradients = trained(train, composed(*MODELS[model], *COMMON, "trainer.precision=bf16-mixed"))
    assert metrics[0]["train/loss"] == pytest.approx(plain[model][0][0]["train/loss"], rel=0.1)
    assert metrics[0]["train/loss"] != plain[model][0][0]["train/loss"], "or it is float32"
    assert all(gradient.isfinite().all() and gradient.dtype == torch.float32 for gradient in gradients[1].values())


@pytest.mark.parametrize("model", ["sae_spn", "hific", "hific recipe.transform=patch recipe.widths=[8,12]"])
def test_recomputing_keeps_less(model: str, composed: Composed) -> None:
    """Bytes that the forward pass leaves for the backward pass, where only the synthesis learns."""

    def kept(recompute: bool) -> int:
        name, *options = model.split()
        blocks = "recipe.residual_blocks=[2,2]" if options else "recipe.residual_blocks=4"
        module = instantiate(
            composed(f"model={name}", *options, blocks, f"speed.checkpoint_synthesis={recompute}").model
        )
        for part, network in module.model.named_children():
            network.requires_grad_(part == "synthesis")
        found: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            found[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            output = module.model(torch.rand(2, 3, 64, 64))
        output.reconstruction.sum().backward()
        return sum(found.values())

    assert kept(True) < 0.8 * kept(False)


def test_optimizers_are_fused_where_asked(composed: Composed) -> None:
    for fused in (False, True):
        module = instantiate(composed("model=hific", f"speed.fused={fused}").model)
        assert [bool(one.defaults["fused"]) for one in module.configure_optimizers()] == [fused, fused]


def test_weights_are_laid_out_as_asked(composed: Composed) -> None:
    for last in (False, True):
        module = instantiate(composed("model=sae", f"speed.channels_last={last}").model)
        weight = module.model.synthesis.blocks[0].second[0].weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == last


def test_unequal_parts_are_refused(composed: Composed, train: Train) -> None:
    with pytest.raises(OptionError, match=r"speed\.accumulate=3 does not divide the 4 images that a rank has"):
        train(composed("model=sae", *COMMON, "speed.accumulate=3"))
    with pytest.raises(Exception, match=r"speed\.accumulate=0 must be 1 or more"):
        instantiate(composed("model=sae", "speed.accumulate=0").model)


@pytest.mark.slow
def test_compiled_models_are_saved_as_others(composed: Composed, train: Train, tmp_path: Path) -> None:
    short = ["model=hific", "recipe.stage1_steps=2", "recipe.stage2_steps=0", "model.ema_decay=0.5"]
    train(composed(*short, "speed.compile=true"))
    hific.load_codec(tmp_path / "run" / "last.ckpt")
