"""evaluate.py around the measuring: slips are refused by name, what is left out is said, results are named."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import skimage.data
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from hific import cli
from hific.cli import evaluation
from hific.codecs.load import checkpoint_entry
from hific.evaluation import run
from hific.evaluation.measurement import Measurement
from hific.fitting.coding import fit_channel_tables
from hific.models.compressnet import CompressNet

REPOSITORY = Path(__file__).resolve().parents[1]
Evaluate = Callable[..., list[Measurement]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sae of size tiny with random weights."""
    torch.manual_seed(0)
    model = CompressNet(widths=(4, 4, 4, 4, 8), residual_blocks=1, latent_channels=4, switches="none")
    tables = fit_channel_tables([np.random.default_rng(0).integers(0, 5, (4, 8, 8))], num_channels=4)
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "sae.ckpt"
    torch.save({"state_dict": weights, "hific": checkpoint_entry("sae", model, tables, {"size": "tiny"})}, path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose test split is two photos: 112x96 and 64x100."""
    folder = tmp_path_factory.mktemp("photos") / "test"
    folder.mkdir()
    astronaut = skimage.data.astronaut()
    Image.fromarray(astronaut[:96, 150:262]).save(folder / "face.png")
    Image.fromarray(astronaut[200:300, 100:164]).save(folder / "suit.png")
    return folder.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What evaluate.py runs; its log is on, whatever Hydra left behind."""
    monkeypatch.setattr(evaluation.log, "disabled", False)
    return evaluation


@pytest.fixture
def evaluate(script: ModuleType, photos: Path, checkpoint: Path, tmp_path: Path) -> Evaluate:
    def evaluate(*overrides: str) -> list[Measurement]:
        with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
            common = [
                "data=folder",
                f"data.root={photos}",
                f"output_dir={tmp_path / 'out'}",
                f"checkpoint={checkpoint}",
            ]
            config = compose("evaluate", overrides=[*common, "coders=[fixed_length]", "classical=[]", *overrides])
        return script.evaluate(config)

    return evaluate


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split=tets", "split: there is no tets; there is: train, val, test"),
        ("coders=[tables,foo]", "coders: there is no foo; there is: fixed_length, tables, context_coded"),
        ("coders=[last,tables]", "coders: there is no last"),
        ("coders=[context_coded]", r"coders=\['context_coded'\]: sae has fixed_length, tables"),
        ("classical=[foo]", "classical: there is no foo; there is: jpeg, jpeg2000, webp, avif"),
        ("panel.images=[nope]", "panel.images: there is no nope; there is: face, suit"),
        ("reconstructions=some", "reconstructions: there is no some; there is: panel, all"),
        ("panel.systems=[nope]", "panel.systems: there is no nope; there is: sae, fixed_length"),
        ("device=gpu", "device=gpu cannot be used here"),
        ("weights.dir=/nonexist", "weights.dir=/nonexist: there is no such folder"),
        ("weights.inception=/nonexist.pth", "weights.inception=/nonexist.pth: there is no such file"),
        ("match_to=null", "match_to=null is not a whole number or a text"),
        ("match_to=true", "match_to=true is not a whole number or a text"),
        ("match_to=0.5", "match_to=0.5: it is first, each, a number of bytes"),
        ("match_to=0", "match_to=0 must be a whole number above 0"),
        ("crop=abc", "crop=abc is not a whole number or null"),
        ("num_images=2.5", "num_images=2.5 is not a whole number or null"),
        ("panel.zoom_x=left", "panel.zoom_x=left is not a number"),
        ("panel.zoom_y=2", r"panel.zoom_y=2.* must be a share from 0 to 1"),
        ("controls=maybe", "controls=maybe is not true or false"),
        ("effort=1.5", "effort=1.5 is not a whole number"),
        ("max_pixels=100", r"left out: face.png: sae: 112x96 is above the limit of 100 pixels"),
    ],
)
def test_a_slip_is_refused_by_name_before_anything_is_coded(
    override: str, message: str, evaluate: Evaluate, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "measure_all", lambda *_: pytest.fail("coded"))
    with pytest.raises(script.OptionError, match=message):
        evaluate(override)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(evaluate: Evaluate, script: ModuleType) -> None:
    with pytest.raises(script.OptionError, match=r"device=cuda cannot be used here .*: take device=cpu"):
        evaluate("device=cuda")


def test_one_name_does_for_a_list(evaluate: Evaluate) -> None:
    rows = evaluate("coders=tables", "classical=webp", "panel.images=suit", 'panel.systems="sae, tables"')
    assert list(dict.fromkeys(row.system for row in rows)) == ["sae, tables", "webp"]


@pytest.mark.parametrize(("kept", "num_photos"), [("panel", 1), ("all", 2)])
def test_a_gallery_has_the_photos_whose_reconstructions_are_kept(
    evaluate: Evaluate, tmp_path: Path, kept: str, num_photos: int, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate("classical=webp", f"reconstructions={kept}")
    capsys.readouterr()
    assert cli.main(["gallery", str(tmp_path / "out")]) == 0
    assert f": {num_photos} photo" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "gallery" / "thumbnails").iterdir())) == num_photos


def test_a_photo_above_the_limit_is_left_out_and_said_to_be(
    evaluate: Evaluate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        rows = evaluate("max_pixels=8000")  # 64x100 is padded to 64x112, 112x96 is 10752 pixels
    assert {row.image for row in rows if not row.is_set} == {"suit"}
    sentence = "left out: face.png: sae: 112x96 is above the limit of 8000 pixels"
    assert sentence in (tmp_path / "out" / "report.md").read_text() and sentence in caplog.text


def test_a_folder_without_weights_is_named(evaluate: Evaluate, tmp_path: Path, random_weights_dir: Path) -> None:
    evaluate(f"weights.dir={tmp_path}", "num_images=1")
    sentence = f"weights.dir={tmp_path} holds no pretrained weights"
    assert sentence in (tmp_path / "out" / "report.md").read_text()
    evaluate(f"weights.dir={random_weights_dir}", "num_images=1")
    assert "holds no pretrained weights" not in (tmp_path / "out" / "report.md").read_text()


def test_the_end_shows_the_means_and_says_where_results_are(
    evaluate: Evaluate, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        rows = evaluate("num_images=1")
    assert caplog.messages[-1].startswith("report.html, report.md, table.md, panel.png and measurements")
    assert caplog.messages[-1].endswith(f" in {tmp_path / 'out'}")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "sae, fixed_length" in line]
    assert f" {rows[0].num_bytes} " in line and f"{rows[0].metrics['psnr']:.2f}" in line


def test_a_tiny_network_is_no_result(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate("num_images=1")
    lines = (tmp_path / "out" / "report.md").read_text().splitlines()
    assert "sae: size tiny, a network of minutes that shows that everything works, not a result." in lines[2]


def test_help_explains_the_main_options_on_a_screen() -> None:
    command = [sys.executable, "evaluate.py", "--help"]
    text = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
    assert len(text.splitlines()) <= 25 and text.count("python evaluate.py checkpoint=") == 2
    options = ("data=", "data.root=", "coders=", "classical=", "match_to=", "weights.dir=", "panel.images=")
    assert all(f"\n{option}" in text for option in (*options, "panel.systems=", "checkpoint="))
    assert "output_dir=" in text


def test_sizes_and_places_that_cannot_be_are_a_line(evaluate: Evaluate, script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, message in (
        ("crop=-5", "crop=-5 must be"),
        ("scale=0", "scale=0 must be above 0, and at most 1"),
        ("scale=half", "scale=half must be above 0"),
        ("crop=0", "above 0"),
        ("num_images=0", "num_images=0"),
        (f"output_dir={tmp_path}/file", "is a file"),
        (f"output_dir={tmp_path}/file/below", "is a file"),
    ):
        with pytest.raises(script.OptionError, match=message):
            evaluate(option)


def test_an_interrupted_evaluation_leaves_its_rows_and_a_line(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "RateMatchedCodec", interrupt)
    with pytest.raises(SystemExit, match="interrupted: rows"):
        evaluate("classical=[jpeg]", f"output_dir={tmp_path}/results")
    assert (tmp_path / "results" / run.PARTIAL).read_text().count("sae") > 1
