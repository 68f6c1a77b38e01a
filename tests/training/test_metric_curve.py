"""curve.csv has metrics of the same photos at every validation, and a resumed run goes on with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule
from omegaconf import DictConfig
from torch import Tensor, nn

from experiments.curves import curve_figure, curve_table, read_curves
from hific.errors import OptionError
from hific.evaluation.columns import metric_column
from hific.models.compressnet import CompressNet
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.training.compressnet_module import CompressNetModule
from hific.training.hific_module import HificModule
from hific.training.metric_curve import FILE, WHOLE_SET, CurveRow, MetricCurve, read_curve

Train = Callable[[DictConfig], Any]


def test_a_resumed_run_goes_on_with_the_rows_behind_it(
    train: Train, composed: Callable[..., DictConfig], tmp_path: Path
) -> None:
    train(composed("model=sae", "recipe.steps=3"))
    path = tmp_path / "run" / FILE
    first = read_curve(path)
    assert {row.batches for row in first} == {3} and {row.epochs for row in first} == {0.75}
    psnr = [row for row in first if row.metric == "psnr"]
    assert 1 <= len(psnr) <= 8 and all(row.value is not None and 0 < row.value < 60 for row in psnr)
    assert next(row for row in first if row.metric == "fid").absent and first[-1].image == WHOLE_SET
    train(composed("model=sae", "recipe.steps=6", f"ckpt_path={tmp_path / 'run' / 'last.ckpt'}"))
    both = read_curve(path)
    assert both[: len(first)] == first and {row.batches for row in both} == {3, 6}
    assert [row.image for row in both if row.batches == 6] == [row.image for row in first], "the same photos"


@pytest.mark.parametrize(
    ("model", "module", "network", "method"),
    [("sae", CompressNetModule, CompressNet, "forward"), ("hific", HificModule, HyperpriorAutoencoder, "analyze")],
)
def test_a_photo_passes_the_network_once_for_all_that_shows_or_measures_it(
    train: Train,
    composed: Callable[..., DictConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    module: type,
    network: type,
    method: str,
) -> None:
    step, passes = module.validation_step, getattr(network, method)
    modules: list[LightningModule] = []
    calls: list[bool] = []
    monkeypatch.setattr(module, "validation_step", lambda self, *some: modules.append(self) or step(self, *some))

    def counted(self: nn.Module, image: Tensor, *more: Any) -> Any:
        calls.extend(bool(modules and modules[-1].trainer.validating) * [True])
        return passes(self, image, *more)

    monkeypatch.setattr(network, method, counted)
    steps = ["recipe.steps=1"] if model == "sae" else ["recipe.stage1_steps=1", "recipe.stage2_steps=0"]
    train(composed(f"model={model}", *steps, "recipe.val_check_interval=1", "test=false"))
    measured = [row for row in read_curve(tmp_path / "run" / FILE) if row.metric == "psnr"]
    shown = list((tmp_path / "run").rglob("0*_step*.png"))
    assert len(calls) == len(modules) == len(measured) == len(shown) > 0


def test_nothing_is_measured_where_none_is_asked_for_and_a_wrong_option_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"callbacks\.curve\.num_images=-1 must be 0 or more"):
        MetricCurve(tmp_path, num_images=-1)
    with pytest.raises(OptionError, match=r"inception=none\.pth: there is no such file"):
        MetricCurve(tmp_path, inception="none.pth")
    (tmp_path / FILE).write_text("a,b\n1,2\n")
    with pytest.raises(OptionError, match="is not what a training writes"):
        read_curve(tmp_path / FILE)


def test_curves_are_means_of_photos_and_say_what_is_absent(tmp_path: Path) -> None:
    rows = [CurveRow(10, 0.5, image, "psnr", value) for image, value in (("0:0", 20.0), ("0:1", 30.0))]
    rows += [CurveRow(20, 1.0, "0:0", "psnr", 28.0), CurveRow(20, 1.0, WHOLE_SET, "fid", None, "no Inception weights")]
    table = curve_table({"sae": rows}, ["psnr", "fid"])
    assert table.header[:3] == ("variant", "batches", "epochs")
    assert [line[:4] for line in table.body] == [("sae", "10", "0.50", "25.00"), ("sae", "20", "1.00", "28.00")]
    assert table.body[1][4] == "absent [2]" and table.notes == (
        "[1] absent: not measured",
        "[2] absent: no Inception weights",
    )
    figure = curve_figure({"sae": rows}, ["psnr", "fid"])
    (axis,) = figure.axes  # none for the metric without points
    (line,) = axis.lines
    assert axis.get_ylabel() == metric_column("psnr").heading
    assert line.get_xydata().tolist() == [[0.5, 25.0], [1.0, 28.0]]
    with pytest.raises(OptionError, match=r"no training has a curve\.csv"):
        read_curves({"sae": tmp_path / "last.ckpt"})
