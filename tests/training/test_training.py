"""Laws of a training run: it counts batches, resumes exactly, stops on NaN, and every checkpoint can code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig

import hific
from hific.errors import NonFiniteError, OptionError
from hific.training.compressnet_module import CompressNetModule

MODELS = ["sae", "swwae", "sae_spn", "gc"]
Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


def assert_equal_state(a: Any, b: Any, where: str = "") -> None:
    """Bit for bit, through dicts and lists."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal_state(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal_state(x, y, f"{where}/{index}")
    else:
        assert a == b, where


def callback(name: str, batches: int) -> list[str]:
    """Overrides that add a callback of this file."""
    return [f"+callbacks.extra._target_={__name__}.{name}", f"+callbacks.extra.batches={batches}"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rate", ["low", "medium", "high"])
def test_every_system_trains_and_its_checkpoint_codes(
    model: str, rate: str, composed: Composed, train: Train, tmp_path: Path
) -> None:
    short = ["recipe.steps=2", "recipe.val_check_interval=2", "recipe.phase_pattern_weight=1"]
    metrics = train(composed(f"model={model}", f"rate={rate}", *short)).metrics
    assert np.isfinite(list(metrics.values())).all() and metrics["train/phase_pattern"] > 0
    codec = hific.load_codec(tmp_path / "run" / "last.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert codec.decompress(codec.compress(image)).size == (50, 40)
    assert codec.name == model


def test_global_step_counts_batches(composed: Composed, train: Train, tmp_path: Path) -> None:
    """With two manual optimizers Lightning counts both, unless D's steps are kept out."""
    train(composed("model=sae"))
    checkpoint = load(tmp_path / "run" / "last.ckpt")
    assert checkpoint["global_step"] == 6
    assert checkpoint["hific"]["training"]["steps"] == 6
    adam = [state["state"][0]["step"].item() for state in checkpoint["optimizer_states"]]
    assert adam == [6, 6]


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_equals_unbroken(workers: int, composed: Composed, train: Train, tmp_path: Path) -> None:
    """Stopped after batch 3 of 6, in the middle of the first epoch of 4."""
    common = ["model=sae_spn", f"data.num_workers={workers}", "recipe.steps=6"]
    train(composed(*common, output="unbroken"))
    train(composed(*common, *callback("StopAfter", 3), output="broken"))
    broken = tmp_path / "broken" / "last.ckpt"
    assert load(broken)["global_step"] == 3
    train(composed(*common, f"ckpt_path={broken}", output="resumed"))
    one, two = (load(tmp_path / name / "last.ckpt") for name in ("unbroken", "resumed"))
    for part in ("state_dict", "optimizer_states", "symbol_history", "hific"):
        assert_equal_state(one[part], two[part], part)


class StopAfter(Callback):
    """Presses Ctrl-C during a batch, or as a cluster does it."""

    def __init__(self, batches: int, number: int = signal.SIGINT) -> None:
        self.batches, self.number = batches, number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.batches - 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_either_signal_saves_and_is_told(number: int, composed: Composed, train: Train, tmp_path: Path) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    stop = [*callback("StopAfter", 2), f"+callbacks.extra.number={int(number)}"]
    outcome = train(composed("model=sae", "recipe.val_check_interval=100", *stop))
    assert outcome.state == "interrupted" and not any(name.startswith("val/") for name in outcome.metrics)
    checkpoint = load(tmp_path / "run" / "last.ckpt")
    assert checkpoint["global_step"] == 2 and checkpoint["hific"]["training"]["coding_fitted"]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_run_killed_while_its_coding_is_fitted_ends_as_an_unbroken_one(
    composed: Composed, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ["model=sae", "recipe.steps=2", "callbacks.last.every_n_steps=1"]
    train(composed(*common, output="unbroken"))

    def die(*_: object) -> None:
        raise MemoryError("killed")

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(CompressNetModule, "fit_coding", die)
        train(composed(*common, output="killed"))
    killed = tmp_path / "killed" / "last.ckpt"
    train(composed(*common, f"ckpt_path={killed}", output="killed"))
    assert hific.load_codec(killed).fingerprint == hific.load_codec(tmp_path / "unbroken" / "last.ckpt").fingerprint
    with pytest.raises(OptionError, match="2 batches behind it"):
        train(composed(*common, f"ckpt_path={killed}", output="killed"))


def test_a_resumed_run_says_that_its_schedule_is_stretched(
    composed: Composed, train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(composed("model=sae", "recipe.steps=1"))
    train(composed("model=sae", "recipe.steps=2", f"ckpt_path={tmp_path / 'run' / 'last.ckpt'}"))
    assert "was to train 1 batches, and now it is 2" in caplog.text


@pytest.mark.parametrize("every_n_steps", [3, 4])
def test_the_last_checkpoint_has_the_tables_fitted_at_the_end(
    every_n_steps: int, composed: Composed, train: Train, tmp_path: Path
) -> None:
    """Also where the last batch was one to save after: whole photos make other tables than the crops' history."""
    common = ["model=sae", "recipe.steps=6"]
    train(composed(*common, f"callbacks.last.every_n_steps={every_n_steps}"))
    train(composed(*common, "~callbacks.tables", output="unfitted"))
    fitted, unfitted = (load(tmp_path / name / "last.ckpt")["hific"]["tables"] for name in ("run", "unfitted"))
    assert not torch.equal(fitted["prior.frequencies"], unfitted["prior.frequencies"])


def test_nan_stops_before_it_reaches_the_weights(composed: Composed, train: Train, tmp_path: Path) -> None:
    config = composed("model=sae", *callback("PoisonAfter", 4), "callbacks.last.every_n_steps=2")
    with pytest.raises(NonFiniteError, match=r"step 4: .*mse = nan"):
        train(config)
    assert load(tmp_path / "run" / "last.ckpt")["global_step"] == 4


class PoisonAfter(Callback):
    """Makes the images of one batch NaN."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.batches:
            batch.fill_(float("nan"))


def test_nothing_of_the_generator_reaches_d_and_back(composed: Composed) -> None:
    module = instantiate(composed("model=sae").model)
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    reconstruction = module.model(image).reconstruction
    sum(module.adversary.generator_terms(image, reconstruction).values()).backward()
    assert all(parameter.grad is None for parameter in module.adversary.parameters())
    assert module.model.analysis.stem[0].weight.grad is not None
    module.zero_grad(set_to_none=True)
    loss, _ = module.adversary.discriminator_terms(image, module.model(image).reconstruction)
    loss.backward()
    assert all(parameter.grad is None for parameter in module.model.parameters())


def test_frozen_perceptual_weights_are_not_in_the_checkpoint(
    composed: Composed, train: Train, tmp_path: Path, random_weights_dir: Path
) -> None:
    overrides = ["recipe.perceptual=lpips_alex", f"weights.dir={random_weights_dir}", "recipe.steps=1"]
    train(composed("model=sae", "data.crop=64", *overrides))
    checkpoint = load(tmp_path / "run" / "last.ckpt")
    assert not any("perceptual" in name for name in checkpoint["state_dict"])
    assert checkpoint["hific"]["training"]["perceptual_term"] is True


def test_missing_weights_are_a_warning_only_where_allowed(
    composed: Composed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.delenv("HIFIC_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", "/nonexistent")
    wanted = ["model=sae", "recipe.perceptual=conv4"]
    assert instantiate(composed(*wanted).model).objective.perceptual is None
    assert "without the perceptual term" in caplog.text
    with pytest.raises(Exception, match="HIFIC_WEIGHTS"):
        instantiate(composed(*wanted, "recipe.perceptual_required=true").model)
    with pytest.raises(Exception, match="HIFIC_WEIGHTS"):  # whoever names a folder means it
        instantiate(composed(*wanted, f"weights.dir={tmp_path}").model)


def test_init_from_takes_what_fits(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=sae", "rate=low", "recipe.steps=1"))
    path = tmp_path / "run" / "last.ckpt"
    module = instantiate(composed("model=sae_spn", "rate=high", f"init_from={path}").model)
    weights = load(path)["state_dict"]
    assert torch.equal(module.model.synthesis.head.weight, weights["model.synthesis.head.weight"])
    assert module.model.analysis.head.weight.shape != weights["model.analysis.head.weight"].shape
    with pytest.raises(Exception, match="no such checkpoint"):
        instantiate(composed("model=sae", "init_from=absent.ckpt").model)
    (tmp_path / "photo.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(Exception, match=r"init_from=.*photo\.ckpt: damaged"):
        instantiate(composed("model=sae", f"init_from={tmp_path / 'photo.ckpt'}").model)


def test_a_checkpoint_to_go_on_from_is_checked_first(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=sae", "rate=low", "recipe.steps=2"))
    path = tmp_path / "run" / "last.ckpt"
    (tmp_path / "photo.ckpt").write_bytes(b"no checkpoint")
    for overrides, message in [
        (["model=sae", "rate=high", f"ckpt_path={path}"], "latent_channels 4 there, 8 here"),
        (["model=sae_spn", "rate=low", f"ckpt_path={path}"], "name sae there, sae_spn here"),
        (["model=sae", "rate=low", "recipe.steps=2", f"ckpt_path={path}"], "2 batches behind it"),
        (["model=sae", f"ckpt_path={tmp_path / 'run'}"], "last.ckpt is there"),
        (["model=sae", f"ckpt_path={tmp_path / 'photo.ckpt'}"], "damaged or cut short, or no checkpoint"),
    ]:
        with pytest.raises(OptionError, match=message):
            train(composed(*overrides, output="other"))


def test_a_crop_that_does_not_fit_is_refused(composed: Composed, train: Train) -> None:
    with pytest.raises(OptionError, match="crop of 40"):
        train(composed("model=sae", "data.crop=40"))
