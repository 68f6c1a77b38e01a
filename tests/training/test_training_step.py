"""One training step's loss, term by term, by formulas that are written out here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig
from torch import Tensor, nn
from training.watching import BATCHES, WATCHING, generator_of, generators_of

from hific.errors import NonFiniteError
from hific.losses.perceptual import LPIPSLoss

Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]
# Latents of a transform coder differ from each other, those of networks as they are made hardly do.
HIFIC = ["model=hific", "recipe.initialization=klt", *WATCHING]
PAPERS_RATE = ["recipe.rate_integral=0", "recipe.rate_averaged_over=1"]
STAGE_1 = ["recipe.stage1_steps=1", "recipe.stage2_steps=0"]
STAGE_2 = ["recipe.stage1_steps=0", "recipe.stage2_steps=1"]
COMPRESSNET = ["recipe.steps=1", *WATCHING]
SHIFT, CROP = 8, 48


def assert_logged(logged: dict[str, float], expected: dict[str, Tensor]) -> None:
    expected["loss"] = sum(expected.values())  # type: ignore[assignment]
    assert {name: logged[f"train/{name}"] for name in expected} == pytest.approx(
        {name: value.item() for name, value in expected.items()}, rel=1e-4
    )


def view(image: Tensor, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """A window that leaves SHIFT rows and columns out, drawn at random."""
    top, left = torch.randint(0, SHIFT + 1, (2,), generator=generator).tolist()
    side = image.shape[-1] - SHIFT
    return lambda one: one[..., top : top + side, left : left + side]


def step_first(d: nn.Module, loss: Tensor, lr: float) -> None:
    """D as it is after its own step: Adam's first goes by the learning rate against the gradient's sign."""
    gradients = torch.autograd.grad(loss, list(d.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(d.parameters(), gradients, strict=True):
            parameter -= lr * gradient / (gradient.abs() + 1e-8)


def test_hific_stage_1(composed: Composed, train: Train, random_weights_dir: Path) -> None:
    weighted = ["recipe.local_color_weight=0.5", "recipe.phase_pattern_weight=0.25", "recipe.perceptual_weight=3"]
    perceptual = ["recipe.perceptual=lpips_alex", f"weights.dir={random_weights_dir}", "recipe.perceptual_samples=1"]
    seen = [f"recipe.view_shift={SHIFT}", f"recipe.crop={CROP}"]
    train(composed(*HIFIC, *STAGE_1, *PAPERS_RATE, *weighted, *perceptual, *seen))
    (batch,) = BATCHES
    image = batch.images
    with torch.no_grad():
        output = batch.model.train()(image, generators_of(0, 2))
        error = output.reconstruction - image
        mse = 0.075 * 2**-5 * 255**2 * error.square().mean()
        color = 0.5 * 255**2 * F.avg_pool2d(error, 16).square().mean()
        pattern = error.unflatten(3, (-1, 16)).unflatten(2, (-1, 16)).mean((0, 2, 4))
        phases = 0.25 * 255**2 * (pattern - pattern.mean((1, 2), keepdim=True)).square().mean()
        cut = view(image, generator_of(0))
        first_two = [2 * cut(one)[:1] - 1 for one in (output.reconstruction, image)]
        lpips = 3 * LPIPSLoss("alex", random_weights_dir)(*first_two)
    above = output.estimated_bpp_quantized > 0.14 * 1.43
    rate = (8.0 if above else 0.0625) / 2 * output.estimated_bpp_noisy  # halved in the warm-up
    expected = {"mse": mse, "local_color": color, "phase_pattern": phases, "perceptual": lpips, "rate": rate}
    assert min(expected.values()) > 1e-4
    assert_logged(batch.metrics, expected)
    assert batch.metrics["train/psnr"] == pytest.approx(-10 * float(error.square().mean().log10()), rel=1e-4)


def test_hific_stage_2(composed: Composed, train: Train) -> None:
    train(composed(*HIFIC, *STAGE_2, *PAPERS_RATE))
    (batch,) = BATCHES
    own, other = batch.images[0::2], batch.images[1::2]
    assert len(own) == len(other) == 2
    with torch.no_grad():
        output = batch.model.train()(own, generators_of(0, 2))
    mse = 0.075 * 2**-5 * 255**2 * (output.reconstruction - own).square().mean()
    rate = batch.metrics["train/rate_weight"] * output.estimated_bpp_noisy
    # beta softplus(-D), and D's own: softplus(-D(x)) + softplus(D(x_hat)), with logits near 0 before it learns.
    adversarial = torch.tensor(batch.metrics["train/adversarial"])
    assert float(adversarial) == pytest.approx(0.15 * torch.log(torch.tensor(2.0)), rel=0.5)
    assert batch.metrics["train/discriminator"] == pytest.approx(2 * torch.log(torch.tensor(2.0)), rel=0.5)
    assert_logged(batch.metrics, {"mse": mse, "rate": rate, "adversarial": adversarial})


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_d_learns_on_other_images_than_the_generator(normalization: str, composed: Composed, train: Train) -> None:
    """Every second one of a batch, coded as in use; the generator is judged on the others; each beside its own latent,
    all in [-1, 1]."""
    as_made = ["recipe.normalization=batch", "recipe.initialization=random"] if normalization == "batch" else []
    train(composed(*HIFIC, *STAGE_2, *as_made))
    (batch,) = BATCHES
    own, other = batch.images[0::2], batch.images[1::2]
    with torch.no_grad():
        of_d, of_generator = batch.model.eval()(other), batch.model.train()(own, generators_of(0, 2))
    expected = [
        (2 * other - 1, of_d.latent_hat),
        (2 * of_d.reconstruction - 1, of_d.latent_hat),
        (2 * of_generator.reconstruction - 1, of_generator.latent_hat),
    ]
    assert len(batch.shown_to_d) == len(expected)
    for shown, due in zip(batch.shown_to_d, expected, strict=True):
        torch.testing.assert_close(shown, due, rtol=1e-4, atol=1e-4)
    for output in (of_d, of_generator) if normalization == "none" else ():
        assert (output.latent_hat[0] - output.latent_hat[1]).abs().max() > 1, "or a swap could not be seen"


def test_without_a_distortion_hific_still_learns_the_rate(composed: Composed, train: Train) -> None:
    """Its gradient reaches all that the rate depends on, and the synthesis not at all."""
    train(composed(*HIFIC, *STAGE_1, "recipe.mse_weight=0"))
    (batch,) = BATCHES
    reached = {name.partition(".")[0] for name, value in batch.gradients.items() if value.abs().max() > 0}
    assert reached == {"analysis", "hyper_analysis", "mean_synthesis", "scale_synthesis", "prior"}


@pytest.mark.parametrize("detach", [True, False])
def test_each_batch_has_a_gradient_of_its_own(detach: bool, composed: Composed, train: Train) -> None:
    """That of the squared error and of the layer loss, whose goal may be fixed."""
    off = [f"recipe.{name}_weight=0" for name in ("latent_spread", "adversarial", "feature_matching")]
    weights = ["recipe.mse_weight=2", "recipe.layerwise_weight=3", f"recipe.detach_layerwise={detach}", *off]
    train(composed("model=sae", "recipe.steps=2", *WATCHING, *weights, "recipe.gradient_clip=inf"))
    assert len(BATCHES) == 2
    for batch in BATCHES:
        image, model = 2 * batch.images - 1, batch.model.train()
        output = model(image, 0.0)
        goals = [one.detach() if detach else one for one in output.analysis.features]
        layers = zip(output.synthesis.features, goals, strict=True)
        loss = 2 * F.mse_loss(output.reconstruction, image) + 3 * sum(F.mse_loss(*pair) for pair in layers)
        names, parameters = zip(*model.named_parameters(), strict=True)
        for name, expected in zip(names, torch.autograd.grad(loss, parameters), strict=True):
            torch.testing.assert_close(batch.gradients[name], expected, rtol=1e-3, atol=1e-5)


def test_each_batch_has_noise_of_its_own(composed: Composed, train: Train) -> None:
    train(composed(*HIFIC, "recipe.stage1_steps=2", "recipe.stage2_steps=0"))
    for number, batch in enumerate(BATCHES):
        with torch.no_grad():
            bpp, other = (
                batch.model(batch.images, generators_of(one, 2)).estimated_bpp_noisy for one in (number, 1 - number)
            )
        assert batch.metrics["train/estimated_bpp_noisy"] == pytest.approx(bpp.item(), rel=1e-5) != other.item()


def test_each_image_has_noise_of_its_own_whatever_its_rank_and_part(
    composed: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(rank: int, count: int, parts: int = 1) -> list[float]:
        module = instantiate(composed("model=hific", "recipe.initialization=klt", f"speed.accumulate={parts}").model)
        monkeypatch.setattr(type(module), "global_rank", rank)
        monkeypatch.setattr(type(module), "trainer", SimpleNamespace(world_size=4 // count))
        parts = module.parts_of(torch.zeros(count, 3, 32, 32))
        generators = [one for _, share in parts for one in module.generators(share)]
        return [float(torch.rand((), generator=one)) for one in generators]

    alone = drawn(0, 4)
    assert len(set(alone)) == 4
    assert drawn(0, 2) + drawn(1, 2) == alone == drawn(0, 4, parts=2)


def test_a_bad_gradient_never_reaches_the_weights(composed: Composed, train: Train) -> None:
    """Also where the loss itself was finite."""
    poisoned = [f"+callbacks.poison._target_={__name__}.PoisonGradient"]
    with pytest.raises(NonFiniteError, match=r"step 1: gradient = (nan|inf)"):
        train(composed("model=sae", "recipe.steps=3", *WATCHING, *poisoned))
    assert len(BATCHES) == 2
    assert all(parameter.isfinite().all() for parameter in PoisonGradient.model.parameters())


class PoisonGradient(Callback):
    """Makes the gradients of the second batch infinite."""

    model: nn.Module

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 1:
            PoisonGradient.model = pl_module.model
            next(pl_module.model.parameters()).register_hook(lambda gradient: gradient / 0)


@pytest.mark.parametrize("model", ["sae", "hific"])
def test_the_gradient_is_clipped(model: str, composed: Composed, train: Train) -> None:
    short = ["model=sae", *COMPRESSNET] if model == "sae" else [*HIFIC, *STAGE_1]
    for clip in ("1e-3", "inf"):
        train(composed(*short, f"recipe.gradient_clip={clip}"))
        (batch,) = BATCHES
        norm = torch.stack([value.norm() for value in batch.gradients.values()]).norm()
        assert batch.metrics["train/gradient_norm"] > 1e-2, "logged before it is clipped"
        due = 1e-3 if clip == "1e-3" else batch.metrics["train/gradient_norm"]
        assert float(norm) == pytest.approx(due, rel=1e-3)


def test_compressnet(composed: Composed, train: Train, random_weights_dir: Path) -> None:
    weights = ["recipe.mse_weight=3", "recipe.layerwise_weight=0.5", "recipe.adversarial_weight=0.25"]
    weights += ["recipe.latent_spread_weight=0.75", "recipe.switch_prediction_weight=2", "recipe.perceptual_weight=1.5"]
    weights += ["recipe.phase_pattern_weight=4", "recipe.true_switches_until=0"]
    perceptual = ["recipe.perceptual=lpips_alex", f"weights.dir={random_weights_dir}"]
    seen = [f"recipe.view_shift={SHIFT}", f"recipe.crop={CROP}"]
    train(composed("model=sae_spn", *COMPRESSNET, *weights, *perceptual, *seen))
    (batch,) = BATCHES
    image = 2 * batch.images - 1
    cut = view(image, generator_of(0))
    with torch.no_grad():
        output = batch.model.train()(image, 0.0)
        analysis, synthesis = output.analysis, output.synthesis
        error = output.reconstruction - image
        mse = 3 * error.square().mean()
        maps = zip(synthesis.features, analysis.features, strict=True)
        layerwise = 0.5 * sum((one - other).square().mean() for one, other in maps)
        errors = F.cross_entropy(synthesis.switch_prediction, analysis.switches[0], reduction="none")
        switches = 2 * errors[~analysis.tied[0]].mean()
        deviations = (analysis.latent.var((0, 2, 3), unbiased=False) + 1e-6).sqrt()
        beyond = (analysis.latent.abs() - 2).clamp(min=0).square().mean()
        spread = 0.75 * (beyond + (1 - deviations).clamp(min=0).square().mean())
        pattern = error.unflatten(3, (-1, 16)).unflatten(2, (-1, 16)).mean((0, 2, 4))
        phases = 4 * (pattern - pattern.mean((1, 2), keepdim=True)).square().mean()
        lpips = 1.5 * LPIPSLoss("alex", random_weights_dir)(cut(output.reconstruction), cut(image))
    d = batch.adversary.discriminator
    (real,), _ = d(cut(image))
    (fake,), _ = d(cut(output.reconstruction))
    of_d = F.softplus(-real).mean() + F.softplus(fake).mean()
    step_first(d, of_d, batch.learning_rates[1][0])
    (logits,), _ = d(cut(output.reconstruction))
    adversarial = 0.25 * F.softplus(-logits).mean()
    assert batch.metrics["train/discriminator"] == pytest.approx(of_d.item(), rel=1e-4)
    assert batch.metrics["train/discriminator/real"] == pytest.approx(real.mean().item(), abs=1e-5)
    assert batch.metrics["train/discriminator/fake"] == pytest.approx(fake.mean().item(), abs=1e-5)
    expected = {"mse": mse, "layerwise": layerwise, "switch_prediction": switches, "latent_spread": spread}
    expected |= {"phase_pattern": phases, "perceptual": lpips, "adversarial": adversarial}
    assert_logged(batch.metrics, expected)
    due = [cut(image), cut(output.reconstruction), cut(output.reconstruction)]
    for (shown, latent), expected_view in zip(batch.shown_to_d, due, strict=True):
        assert latent is None and shown.shape[-1] == CROP - SHIFT
        torch.testing.assert_close(shown, expected_view, rtol=1e-4, atol=1e-4)


def test_gc(composed: Composed, train: Train) -> None:
    """lsgan on two scales, and the mean distance of D's features."""
    weights = ["recipe.adversarial_weight=2", "recipe.feature_matching_weight=7"]
    train(composed("model=gc", *COMPRESSNET, "recipe.view_shift=0", *weights))
    (batch,) = BATCHES
    image, d = 2 * batch.images - 1, batch.adversary.discriminator
    with torch.no_grad():
        reconstruction = batch.model.train()(image, 0.0).reconstruction
    (reals, _), (fakes, _) = d(image), d(reconstruction)
    assert len(reals) == 2
    of_d = sum((r - 1).square().mean() / 2 + f.square().mean() / 2 for r, f in zip(reals, fakes, strict=True))
    step_first(d, of_d, batch.learning_rates[1][0])
    (_, wanted), (fakes, features) = d(image), d(reconstruction)
    distances = [(one - other).abs().mean() for one, other in zip(features, wanted, strict=True)]
    matching = 7 * sum(distances) / len(distances)
    adversarial = 2 * sum((fake - 1).square().mean() / 2 for fake in fakes)
    due = {"discriminator": of_d, "feature_matching": matching, "adversarial": adversarial}
    assert {name: batch.metrics[f"train/{name}"] for name in due} == pytest.approx(
        {name: value.item() for name, value in due.items()}, rel=1e-4
    )
    assert len(batch.shown_to_d) == 4, "its step on both, the reconstruction, and the image for its features"


def test_the_adversary_joins_late(composed: Composed, train: Train) -> None:
    train(composed("model=sae", *WATCHING, "recipe.steps=4", "recipe.adversarial_start=0.5"))
    assert [len(batch.shown_to_d) for batch in BATCHES] == [0, 0, 3, 3]
    assert ["train/adversarial" in batch.metrics for batch in BATCHES] == [False, False, True, True]


def test_compressnet_goes_by_its_schedule(composed: Composed, train: Train) -> None:
    """Both players; and from the encoder's switches for all images to predicted ones, over a share of the training."""
    halving = ["recipe.schedule._target_=hific.training.optimization.HalvingSchedule", "+recipe.schedule.times=3"]
    halving += ["~recipe.schedule.warmup", "~recipe.schedule.floor"]
    train(composed("model=sae_spn", *WATCHING, *halving, "recipe.steps=4", "recipe.true_switches_until=0.5"))
    factors = [1, 1 / 2, 1 / 4, 1 / 8]
    assert [one.learning_rates for one in BATCHES] == [
        [[pytest.approx(6e-4 * factor)], [pytest.approx(2e-4 * factor)]] for factor in factors
    ]
    assert [one.switch_shares for one in BATCHES] == [[1.0], [0.5], [0.0], [0.0]]
