"""Context models and post-filters of both families: from configuration to files of the same pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from PIL import Image

import hific
from hific.cli import main
from hific.cli.train_options import check_options, with_choices_of_base
from hific.coding.container import read_info
from hific.errors import OptionError, WrongModelError

Composed = Callable[..., DictConfig]
Train = Callable[[DictConfig], Any]
TWO_STAGES = ["recipe.stage1_steps=2", "recipe.stage2_steps=2", "recipe.val_check_interval=4"]
FEW = ["callbacks.tables.num_photos=4"]
FEW_XGBOOST = [*FEW, "context_model.num_photos=4", "context_model.fit.rounds=4"]
FEW_PHOTOS = [*FEW, "postfilter.num_photos=4"]
FEW_OF = {"xgboost": FEW_XGBOOST, "knn": [*FEW, "context_model.num_photos=4"]}
IMAGE = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize(("model", "kind"), [("hific_xgboost", "xgboost"), ("hific_knn", "knn")])
def test_from_scratch_and_over_a_base(model: str, kind: str, composed: Composed, train: Train, tmp_path: Path) -> None:
    few = FEW_OF[kind]
    train(composed(f"model={model}", *TWO_STAGES, *few, output="whole"))
    whole = hific.load_codec(tmp_path / "whole" / "last.ckpt")
    assert whole.name == model and whole.coder == "context_coded" and whole.setting == kind

    train(composed("model=hific", *TWO_STAGES, "callbacks.tables.num_photos=4", output="plain"))
    plain_path = tmp_path / "plain" / "last.ckpt"
    train(composed(f"model={model}", *few, f"base_checkpoint={plain_path}", output="fitted"))
    fitted_path = tmp_path / "fitted" / "last.ckpt"
    fitted, plain = hific.load_codec(fitted_path), hific.load_codec(plain_path)
    assert fitted.training["base"] == plain.fingerprint.hex() != fitted.fingerprint.hex()
    data, plain_data = fitted.compress(IMAGE), plain.compress(IMAGE)
    assert (read_info(data).coder, read_info(plain_data).coder) == ("context_coded", "tables")
    pixels = np.asarray(fitted.decompress(data))
    np.testing.assert_array_equal(pixels, np.asarray(plain.decompress(plain_data)))
    np.testing.assert_array_equal(pixels, np.asarray(hific.load_codec(fitted_path).decompress(data)))
    assert whole.compress(IMAGE) == data, "from scratch or over a base: the same seed makes the same files"
    # The same networks, coded as before by the checkpoint that has both.
    both = hific.load_codec(fitted_path, coder="tables")
    np.testing.assert_array_equal(pixels, np.asarray(fitted.decompress(both.compress(IMAGE))))
    for one, other in ((fitted, plain_data), (plain, data)):
        with pytest.raises(WrongModelError):
            one.decompress(other)


def test_compressnet_is_coded_by_each_coder_at_the_same_pixels(
    composed: Composed, train: Train, tmp_path: Path
) -> None:
    train(composed("model=sae_spn", "context_model=xgboost", *FEW_XGBOOST))
    path = tmp_path / "run" / "last.ckpt"
    images = []
    for coder in ("fixed_length", "tables", "context_coded"):
        codec = hific.load_codec(path, coder=coder)
        data = codec.compress(IMAGE)
        assert read_info(data).coder == coder
        images.append(np.asarray(codec.decompress(data)))
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])


@pytest.mark.parametrize("rate", ["low", "high"])
def test_compressnet_over_a_base_keeps_its_symbols(rate: str, composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=sae", f"rate={rate}", output="plain"))
    plain_path = tmp_path / "plain" / "last.ckpt"
    over_base = ("model=sae", f"rate={rate}", f"base_checkpoint={plain_path}", "context_model=xgboost", *FEW_XGBOOST)
    train(composed(*over_base, output="fitted"))
    plain, fitted = hific.load_codec(plain_path), hific.load_codec(tmp_path / "fitted" / "last.ckpt")
    assert fitted.setting == "xgboost" and fitted.training["steps"] == plain.training["steps"] == 6
    assert fitted.training["fit_seconds"] > 0
    np.testing.assert_array_equal(np.asarray(fitted.decompress(fitted.compress(IMAGE))), _through(plain))
    for coder in ("fixed_length", "tables"):
        one, other = (codec.with_options(coder=coder).compress(IMAGE) for codec in (plain, fitted))
        assert one[8:-4] == other[8:-4], "all but fingerprint and checksum are the base's"


@pytest.mark.parametrize("postfilter", ["linear", "xgboost"])
def test_a_postfilter_is_fitted_and_only_ever_closer(
    postfilter: str, composed: Composed, train: Train, tmp_path: Path
) -> None:
    # A learning rate that leaves the reconstruction far off, as two batches from a random start do not always.
    far_off = ["recipe.normalization=channel", "recipe.initialization=random", "recipe.learning_rate=3e-2"]
    train(composed("model=hific", *TWO_STAGES, *far_off, output="plain"))
    base = f"base_checkpoint={tmp_path / 'plain' / 'last.ckpt'}"
    train(composed("model=hific", base, f"postfilter={postfilter}", *FEW_PHOTOS, output="filtered"))
    path = tmp_path / "filtered" / "last.ckpt"
    plain, filtered = hific.load_codec(path, post_filter=False), hific.load_codec(path)
    assert filtered.training["postfilter"] == postfilter
    assert (plain.setting, filtered.setting) == ("tables", "tables, post-filter")
    data = filtered.compress(IMAGE)
    before, after = _through(plain), np.asarray(filtered.decompress(data))
    assert filtered.filtered_share(IMAGE)["post_filtered_share"] > 0, "two batches leave much to correct"
    assert 0 <= len(data) - len(plain.compress(IMAGE)) <= 1, "three bits: whether there are flags, and two"
    assert _squared_error(after) < _squared_error(before)
    np.testing.assert_array_equal(np.asarray(plain.decompress(data)), after, err_msg="a decoder goes by the file")
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    for option, expected in (([], data), (["--no-post-filter"], plain.compress(IMAGE))):
        assert main(["compress", str(tmp_path / "a.png"), "--checkpoint", str(path), "--force", *option]) == 0
        assert (tmp_path / "a.hfc").read_bytes() == expected


def test_both_stages_from_scratch(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=hific_xgboost", "postfilter=linear", *TWO_STAGES, *FEW_XGBOOST, *FEW_PHOTOS))
    path = tmp_path / "run" / "last.ckpt"
    codec = hific.load_codec(path)
    assert codec.setting == "xgboost, post-filter"
    one = codec.compress(IMAGE)
    assert np.array_equal(codec.decompress(one), hific.load_codec(path).decompress(one))
    assert _squared_error(np.asarray(codec.decompress(one))) <= _squared_error(
        _through(codec.with_options(post_filter=False))
    )


def test_nothing_to_fit_to_a_base_is_told(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=hific", *TWO_STAGES))
    with pytest.raises(Exception, match="nothing to fit to base_checkpoint") as told:
        train(composed("model=hific", f"base_checkpoint={tmp_path / 'run' / 'last.ckpt'}", output="other"))
    assert isinstance(told.value.__cause__ or told.value, OptionError)


def _through(codec: Any) -> np.ndarray[Any, Any]:
    return np.asarray(codec.decompress(codec.compress(IMAGE)))


def _squared_error(pixels: np.ndarray[Any, Any]) -> int:
    return int(((pixels.astype(np.int64) - IMAGE) ** 2).sum())


def test_an_edited_context_model_is_refused(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=hific_xgboost", *TWO_STAGES, *FEW_XGBOOST))
    path = tmp_path / "run" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hific"]["tables"]["context_coded.model.table_logits"][0, 0] += 1
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="damaged or was edited"):
        hific.load_codec(path)


def test_a_base_brings_its_size_and_rate_and_needs_no_perceptual_weights(
    composed: Composed, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(composed("model=hific", "size=small", "rate=high", *TWO_STAGES))
    base = f"base_checkpoint={tmp_path / 'run' / 'last.ckpt'}"
    given = ["model=hific_xgboost", base]
    assert with_choices_of_base(given) == ["size=small", "rate=high", *given]
    monkeypatch.setattr("hific.losses.perceptual.load_lpips", None)
    needing = ["recipe.perceptual=lpips_alex", "recipe.perceptual_required=true"]
    train(composed("model=hific_xgboost", base, *needing, *FEW_XGBOOST, "test=true", output="fitted"))
    fitted = hific.load_codec(tmp_path / "fitted" / "last.ckpt").training
    assert (fitted["size"], fitted["rate"], fitted["steps"]) == ("small", "high", 4)
    for wrong, message in [
        ("size=tiny", "size=tiny: base_checkpoint is of size=small"),
        ("recipe.stage1_steps=1", "no batches are trained"),
    ]:
        with pytest.raises(OptionError, match=message):
            with_choices_of_base([base, wrong])
    with pytest.raises(OptionError, match="another system"):
        train(composed("model=sae", base, "context_model=xgboost", output="other"))


def test_a_base_and_another_beginning_exclude_each_other(composed: Composed) -> None:
    with pytest.raises(OptionError, match="init_from and base_checkpoint exclude each other"):
        check_options(composed("model=hific_xgboost", "base_checkpoint=a.ckpt", "init_from=b.ckpt"))


def test_a_postfilter_is_for_any_family(composed: Composed, train: Train, tmp_path: Path) -> None:
    train(composed("model=sae", "postfilter=linear", *FEW_PHOTOS))
    codec = hific.load_codec(tmp_path / "run" / "last.ckpt")
    assert codec.setting == "tables, post-filter"
    assert _squared_error(_through(codec)) <= _squared_error(_through(codec.with_options(post_filter=False)))


def test_each_is_fitted_to_as_many_photos_as_it_asks_for(composed: Composed) -> None:
    """And what hific_xgboost adds does not change what HiFiC is: its activation ranges see the same photos."""
    asked: list[int] = []

    def photos(count: int) -> list[torch.Tensor]:
        asked.append(count)
        return [torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]

    few = ["context_model.num_photos=5", "context_model.fit.rounds=1", "postfilter.num_photos=6"]
    module = instantiate(composed("model=hific_xgboost", "postfilter=linear", *few).model)
    module.fit_coding(photos, 4)
    assert asked == [4, 5, 6]
