"""HiFiC's two stages in one run: each pitfall of public re-implementations has a test that the wrong version fails."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig
from training.test_training import StopAfter, assert_equal_state, load
from training.watching import BATCHES, WATCHING

import hific
from hific.coding.container import unpack

Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]
TWO_STAGES = ["model=hific", "recipe.stage1_steps=4", "recipe.stage2_steps=4", "recipe.val_check_interval=8"]
NOTES: list[dict[str, Any]] = []


class Notes(Callback):
    """Keeps what each batch was trained with."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        NOTES.clear()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        optimizers = pl_module.raw_optimizers()
        NOTES.append(
            {
                "images": len(batch),
                "lr": [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers],
                "adam_steps": [_steps(optimizer) for optimizer in optimizers],
                "rate_weight": float(trainer.callback_metrics["train/rate_weight"]),
                "global_step": trainer.global_step,
                "names": set(trainer.callback_metrics),
            }
        )


def _steps(optimizer: torch.optim.Optimizer) -> int:
    return max((int(state["step"]) for state in optimizer.state.values() if "step" in state), default=0)


NOTING = [f"+callbacks.notes._target_={__name__}.Notes"]


@pytest.mark.parametrize("rate", ["low", "medium", "high"])
def test_both_stages_run_and_the_checkpoint_codes(rate: str, composed: Composed, train: Train, tmp_path: Path) -> None:
    metrics = train(
        composed(*TWO_STAGES, f"rate={rate}", "recipe.phase_pattern_weight=1", "recipe.local_color_weight=1")
    ).metrics
    assert np.isfinite(list(metrics.values())).all()
    assert min(metrics["train/phase_pattern"], metrics["train/local_color"]) > 0
    logged = {"val/estimated_bpp", "val/psnr", "val/distortion", "train/estimated_bpp_noisy", "train/adversarial"}
    logged |= {"train/estimated_bpp_quantized", "train/rate_weight", "train/mse", "train/gradient_norm"}
    assert logged | {"train/discriminator/real", "train/discriminator/fake"} <= set(metrics)
    codec = hific.load_codec(tmp_path / "run" / "last.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert codec.decompress(codec.compress(image)).size == (50, 40)
    assert hific.load_codec(tmp_path / "run" / "stage1.ckpt").training["steps"] == 4
    assert codec.name == "hific" and codec.training["target_bpp"] == {"low": 0.14, "medium": 0.30, "high": 0.45}[rate]
    assert codec.training["rate_weight"] > 0 and codec.training["coding_fitted"]


def test_stages_have_their_own_schedules_and_counts(composed: Composed, train: Train) -> None:
    """Batches are counted, not optimizer steps; stage 2 forgets moments and learning rates, and warms up again."""
    quick = ["recipe.stage1_steps=4", "recipe.stage2_steps=4", "recipe.rate_warmup=0.25"]
    quick += ["recipe.rate_integral=0"]
    quick += ["recipe.hyperprior_lr_factor=4.0", "recipe.schedule._target_=hific.training.optimization.StepSchedule"]
    quick += ["~recipe.schedule.warmup", "~recipe.schedule.floor"]
    quick += ["+recipe.schedule.at=0.5", "+recipe.schedule.factor=0.1"]
    train(composed("model=hific", "recipe.val_check_interval=8", *quick, *NOTING))
    lr = 3e-4
    assert [note["images"] for note in NOTES] == [2, 2, 2, 2, 4, 4, 4, 4]
    assert [note["global_step"] for note in NOTES] == list(range(1, 9))
    assert [note["lr"][0][0] for note in NOTES] == pytest.approx([lr, lr, lr / 10, lr / 10] * 2)
    assert [note["lr"][0][1] for note in NOTES] == pytest.approx([4 * note["lr"][0][0] for note in NOTES])
    assert [note["lr"][1] for note in NOTES] == [note["lr"][0][:1] for note in NOTES]
    assert [note["adam_steps"] for note in NOTES] == [[1, 0], [2, 0], [3, 0], [4, 0], [1, 1], [2, 2], [3, 3], [4, 4]]
    assert all("train/adversarial" not in note["names"] for note in NOTES[:4])
    warm = {8.0 / 2, 0.0625 / 2}
    assert [note["rate_weight"] in warm for note in NOTES] == [True, False, False, False] * 2
    assert all(note["rate_weight"] in warm | {8.0, 0.0625} for note in NOTES)


@pytest.mark.parametrize("stop_after", [2, 4, 6])
def test_resumed_equals_unbroken_in_either_stage_and_between(
    stop_after: int, composed: Composed, train: Train, tmp_path: Path
) -> None:
    common = [*TWO_STAGES, "model.ema_decay=0.5", "recipe.rate_averaged_over=3", "recipe.rate_integral=0.1"]
    common += ["~callbacks.tables"]  # which would make activation ranges anew
    train(composed(*common, output="unbroken"))
    stop = [f"+callbacks.extra._target_={StopAfter.__module__}.StopAfter", f"+callbacks.extra.batches={stop_after}"]
    train(composed(*common, *stop, output="broken"))
    broken = tmp_path / "broken" / "last.ckpt"
    assert load(broken)["global_step"] == stop_after
    train(composed(*common, f"ckpt_path={broken}", output="resumed"))
    one, two = (load(tmp_path / name / "last.ckpt") for name in ("unbroken", "resumed"))
    for part in ("state_dict", "optimizer_states", "rate_target", "hific"):
        assert_equal_state(one[part], two[part], part)


def test_stage_2_alone_starts_from_stage_1s_weights(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=hific", "recipe.stage1_steps=2", "recipe.stage2_steps=0", output="stage1"))
    first = tmp_path / "stage1" / "last.ckpt"
    alone = ["model=hific", "recipe.stage1_steps=0", "recipe.stage2_steps=2", f"init_from={first}"]
    module = instantiate(composed(*alone).model)
    weights = load(first)["state_dict"]
    assert torch.equal(module.model.synthesis.tail.weight, weights["model.synthesis.tail.weight"])
    train(composed(*alone, *NOTING, output="stage2"))
    assert [note["images"] for note in NOTES] == [4, 4]
    assert [note["adam_steps"] for note in NOTES] == [[1, 1], [2, 2]]


@pytest.mark.parametrize(("stage1", "stage2", "kept"), [(2, 0, {}), (0, 2, {}), (2, 3, {2: "stage1.ckpt"})])
def test_stage_1_is_kept_where_another_follows(
    stage1: int, stage2: int, kept: dict[int, str], composed: Composed
) -> None:
    stages = [f"recipe.stage1_steps={stage1}", f"recipe.stage2_steps={stage2}", "recipe.initialization=klt"]
    assert instantiate(composed("model=hific", *stages).model).milestones == kept


@pytest.mark.parametrize("normalization", ["channel", "batch"])
def test_a_frozen_analysis_keeps_its_streams(
    normalization: str, composed: Composed, train: Train, tmp_path: Path
) -> None:
    """Weights, statistics and integer networks: files of stages 2 and 1 differ in the fingerprint only."""
    common = ["model=hific", f"recipe.normalization={normalization}", "recipe.initialization=random"]
    train(composed(*common, "recipe.stage1_steps=2", "recipe.stage2_steps=0", output="stage1"))
    first = tmp_path / "stage1" / "last.ckpt"
    alone = ["recipe.stage1_steps=0", "recipe.stage2_steps=2", "model.freeze_analysis=true"]
    train(composed(*common, *alone, f"init_from={first}", output="frozen"))
    before, after = load(first)["state_dict"], load(tmp_path / "frozen" / "last.ckpt")["state_dict"]
    assert not torch.equal(before["model.synthesis.tail.weight"], after["model.synthesis.tail.weight"])
    image = np.random.default_rng(0).integers(0, 256, (128, 96, 3), dtype=np.uint8)
    files = [hific.load_codec(path).compress(image) for path in (first, tmp_path / "frozen" / "last.ckpt")]
    opened = [unpack(data, max_pixels=1 << 20) for data in files]
    assert opened[0].stream == opened[1].stream and len(opened[0].stream) > 4
    assert opened[0].header.fingerprint != opened[1].header.fingerprint


def test_frozen_parts_are_in_evaluation_mode(composed: Composed, train: Train) -> None:
    """Batches leave no trace in their statistics and activation ranges, nor D's step, which uses them."""
    made = ["recipe.normalization=batch", "recipe.initialization=random", "model.freeze_analysis=true"]
    train(composed("model=hific", "recipe.stage1_steps=1", "recipe.stage2_steps=3", *made, *WATCHING))
    states = [[part.state_dict() for part in batch.model.stream_parts] for batch in BATCHES]
    changed = [_differ(before, after) for before, after in pairwise(states)]
    assert changed == [True, False, False]
    syntheses = [[batch.model.synthesis.state_dict()] for batch in BATCHES]
    assert all(_differ(before, after) for before, after in pairwise(syntheses))


def _differ(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    pairs = zip(one, other, strict=True)
    return any(not torch.equal(value, b[name]) for a, b in pairs for name, value in a.items())


def test_a_frozen_model_keeps_its_ranges_whatever_photos_it_is_fitted_to(composed: Composed) -> None:
    kept = []
    for frozen in ("true", "false"):
        alone = ["recipe.stage1_steps=0", "recipe.initialization=klt", f"model.freeze_analysis={frozen}"]
        module = instantiate(composed("model=hific", *alone).model)
        ranges = [network.activation_range for network in (module.model.mean_synthesis, module.model.scale_synthesis)]
        for activation_range in ranges:
            activation_range.fill_(1e3)
        module.fit_coding(lambda count: [torch.rand(1, 3, 64, 64)], 1)
        kept.append(all(bool((activation_range == 1e3).all()) for activation_range in ranges))
    assert kept == [True, False]


def test_fitting_the_coding_leaves_batch_statistics_alone(composed: Composed) -> None:
    module = instantiate(composed("model=hific", "recipe.normalization=batch", "recipe.initialization=random").model)
    monkey = torch.rand(1, 3, 64, 64)
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    module.model.train()
    pl_trainer = SimpleNamespace(global_step=0)
    type(module).global_step = property(lambda self: pl_trainer.global_step)
    try:
        module.fit_coding(lambda count: [monkey], 1)
    finally:
        del type(module).global_step
    assert module.model.training and (module.model.mean_synthesis.activation_range > 0).any()
    after = module.model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {
        "mean_synthesis.activation_range",
        "scale_synthesis.activation_range",
    }


def test_the_averaged_synthesis_is_what_decodes(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=hific", "model.ema_decay=0.9", "recipe.stage1_steps=3", "recipe.stage2_steps=0"))
    path = tmp_path / "run" / "last.ckpt"
    state, codec = load(path)["state_dict"], hific.load_codec(path)
    averaged = codec.model.synthesis.tail.weight
    assert torch.equal(averaged, state["ema.average.tail.weight"])
    assert not torch.equal(averaged, state["model.synthesis.tail.weight"])


def test_nothing_of_the_generator_reaches_d_and_back(composed: Composed) -> None:
    """D's step leaves nothing in the auto-encoder, the generator's leaves nothing in D."""
    module = instantiate(composed("model=hific").model)
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        output = module.model(images[2:])
    loss, _ = module.adversary.discriminator_terms(images[2:], output.reconstruction, output.latent_hat)
    loss.backward()
    assert all(parameter.grad is None for parameter in module.model.parameters())
    assert all(parameter.grad is not None for parameter in module.adversary.parameters())
    module.zero_grad(set_to_none=True)
    output = module.model(images[:2])
    sum(module.adversary.generator_terms(images[:2], output.reconstruction, output.latent_hat).values()).backward()
    assert all(parameter.grad is None for parameter in module.adversary.parameters())
    assert module.model.analysis.stem[0].weight.grad is not None  # through the reconstruction


ABLATIONS = {
    "normalization": [f"recipe.initialization=random recipe.normalization={kind}" for kind in ("instance", "batch")],
    "discriminator": [
        "model.adversary.discriminator.conditional=false",
        "model.adversary.discriminator.normalization=instance",
        "model.adversary.discriminator.scales=2",
    ],
    "activation": ["model.model.activation=leaky_relu", "model.adversary.discriminator.activation=relu"],
    "strategy": ["recipe.stage1_steps=0"],
    "quantization": ["model.model.quantization=noise"],
    "rate target": ["model.rate_target.enabled=false"],
    "transform": ["recipe.transform=patch recipe.widths=[8,12] recipe.residual_blocks=[1,2]"],
}


@pytest.mark.parametrize("overrides", [overrides for group in ABLATIONS.values() for overrides in group])
def test_ablations_train_and_code(overrides: str, composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=hific", "recipe.stage1_steps=1", "recipe.stage2_steps=1", *overrides.split()))
    codec = hific.load_codec(tmp_path / "run" / "last.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert codec.decompress(codec.compress(image)).size == (64, 64)


def test_nothing_to_train_is_refused(composed: Composed) -> None:
    with pytest.raises(Exception, match="leave nothing to train"):
        instantiate(composed("model=hific", "recipe.stage1_steps=0", "recipe.stage2_steps=0").model)


@pytest.mark.parametrize(("local", "of_all_ranks", "weight"), [(0.1, 0.5, 8.0), (0.5, 0.1, 0.0625)])
def test_the_controller_goes_by_all_ranks_images(
    local: float, of_all_ranks: float, weight: float, composed: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = instantiate(composed("model=hific", "rate=low", "recipe.rate_integral=0").model)
    logged: dict[str, Any] = {}
    monkeypatch.setattr("hific.training.hific_module.mean_over_ranks", lambda _: torch.tensor(of_all_ranks))
    monkeypatch.setattr(type(module), "stage_progress", 0.5)
    monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
    assert module._rate_weight(torch.tensor(local)) == weight == logged["train/rate_weight"]
    assert logged["train/estimated_bpp_quantized"] == pytest.approx(of_all_ranks)


def test_the_best_checkpoint_is_of_the_last_stage(composed: Composed, train: Train, tmp_path: Path) -> None:
    """Also where a validation falls on the boundary: its weights are stage 1's."""
    stages = ["recipe.stage1_steps=4", "recipe.stage2_steps=4", "recipe.val_check_interval=2"]
    # Stage 2 makes everything worse.
    train(composed("model=hific", *stages, "model.adversary.weight=1000"))
    assert load(tmp_path / "run" / "best.ckpt")["global_step"] in (6, 8)
    train(composed("model=hific", *stages, "recipe.stage2_steps=0", output="one"))
    assert load(tmp_path / "one" / "best.ckpt")["global_step"] in (2, 4)
