"""evaluate.py from checkpoints to a folder of results: coders and controls are rows, files are real."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import skimage.data
import torch
from hydra import compose, initialize_config_dir
from photos import photo
from PIL import Image
from small_codecs import with_context

from hific.cli import evaluation
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import checkpoint_entry, load_codec
from hific.codecs.pillow_codecs import PillowCodec
from hific.evaluation.folder import read_rows
from hific.evaluation.measurement import Measurement
from hific.fitting.coding import fit_channel_tables
from hific.fitting.postfilter import PostFilterFit
from hific.metrics.fidelity import PSNR
from hific.metrics.frechet import AlexNetFrechetDistance
from hific.models.compressnet import CompressNet

REPOSITORY = Path(__file__).resolve().parents[1]
CODERS = ("fixed_length", "tables")
Evaluate = Callable[..., list[Measurement]]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sae_spn.ckpt, sae.ckpt and swwae.ckpt: tiny, with random weights."""
    folder = tmp_path_factory.mktemp("checkpoints")
    latents = [np.random.default_rng(0).integers(0, 5, (4, 8, 8))]
    for name, switches in (("sae_spn", "predicted"), ("sae", "none"), ("swwae", "transmitted")):
        torch.manual_seed(0)
        model = CompressNet(widths=(4, 4, 4, 4, 8), residual_blocks=1, latent_channels=4, switches=switches)
        counts = [np.zeros((width, 4), np.int64) for width in model.widths[:4]] if switches == "transmitted" else None
        info = {"data": "bundled", "steps": 20, "perceptual_term": name != "sae"}
        entry = checkpoint_entry(name, model, fit_channel_tables(latents, counts, num_channels=4), info)
        weights = {f"model.{key}": value for key, value in model.state_dict().items()}
        torch.save({"state_dict": weights, "hific": entry}, folder / f"{name}.ckpt")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose test split is two photos of 112x96 and 64x100, and a damaged file."""
    folder = tmp_path_factory.mktemp("photos") / "test"
    folder.mkdir()
    astronaut = skimage.data.astronaut()
    Image.fromarray(astronaut[:96, 150:262]).save(folder / "face.png")
    Image.fromarray(astronaut[200:300, 100:164]).save(folder / "suit.png")
    (folder / "torn.png").write_bytes((folder / "suit.png").read_bytes()[:2000])
    return folder.parent


@pytest.fixture
def script() -> ModuleType:
    """What evaluate.py runs."""
    return evaluation


@pytest.fixture
def evaluate(script: ModuleType, photos: Path, tmp_path: Path) -> Evaluate:
    def run(*overrides: str) -> list[Measurement]:
        with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
            common = ["data=folder", f"data.root={photos}", f"output_dir={tmp_path}"]
            config = compose("evaluate", overrides=[*common, *overrides])
        return script.evaluate(config)

    return run


def test_coders_and_controls_are_rows_with_real_files(evaluate: Evaluate, checkpoints: Path, tmp_path: Path) -> None:
    path = checkpoints / "sae_spn.ckpt"
    rows = evaluate(f"checkpoint={path}", "codec.avif.speed=10")
    face = {row.system: row for row in rows if row.image == "face"}
    learned = [f"sae_spn, {coder}" for coder in CODERS]
    controls = [f"sae_spn, tables, {source} switches" for source in ("top_left", "random", "oracle")]
    assert list(face) == [*learned, *controls, "jpeg", "jpeg2000", "webp", "avif"]
    for system, coder in zip(learned, CODERS, strict=True):
        data = (tmp_path / "files" / f"sae_spn-{coder}" / "face.hfc").read_bytes()
        assert face[system].num_bytes == len(data)
        assert load_codec(path).decompress(data).size == (112, 96)
    assert {face[name].num_bytes for name in controls} == {face["sae_spn, tables"].num_bytes}
    assert [name for name, row in face.items() if "not decodable" in row.note] == [controls[2]]
    assert len({face[name].metrics["psnr"] for name in (*learned, *controls)}) == 4  # the coders agree, controls differ
    assert 0 <= face["sae_spn, tables"].metrics["switch_accuracy"] <= 1
    assert all(face[name].max_bytes == face["sae_spn, tables"].num_bytes for name in ("jpeg", "avif"))
    assert read_rows(tmp_path / "measurements.csv") == rows
    report = (tmp_path / "report.md").read_text()
    assert "torn.png cannot be read" in report and "| steps | 20 |" in report
    page = (tmp_path / "report.html").read_text()
    assert "torn.png cannot be read" in page and page.count("data:image/webp;base64,") >= len(face) - 1
    for text in (report, page):
        assert str(checkpoints) not in text and str(tmp_path) not in text
    with Image.open(tmp_path / "panel.png") as panel:
        assert panel.format == "PNG"


def test_several_checkpoints_with_transmitted_switches_counted(evaluate: Evaluate, checkpoints: Path) -> None:
    paths = ",".join(str(checkpoints / f"{name}.ckpt") for name in ("sae", "swwae"))
    rows = evaluate(
        f"checkpoint=[{paths}]", "names=[first,second]", "coders=[tables]", "classical=[webp]", "match_to=each"
    )
    size = {row.system: row.num_bytes for row in rows if row.image == "face"}
    assert list(size) == ["first, tables", "second, tables", "webp <= first, tables", "webp <= second, tables"]
    assert size["second, tables"] > 20 * size["first, tables"]


def test_models_of_different_families_stand_side_by_side(
    evaluate: Evaluate, checkpoints: Path, make_hific_checkpoint: Callable[..., Path]
) -> None:
    """By each of its own latent coders; only HiFiC has likelihoods, whose estimate stands beside the file's bpp."""
    paths = f"[{checkpoints / 'sae.ckpt'},{make_hific_checkpoint(deviation=8.0)}]"
    rows = evaluate(f"checkpoint={paths}", "names=[sae,hific]", "classical=[jpeg]", "controls=false")
    face = {row.system: row for row in rows if row.image == "face"}
    assert list(face) == [*(f"sae, {coder}" for coder in CODERS), "hific, tables", "jpeg"]
    estimate = face["hific, tables"].metrics["estimated_bpp"]
    assert 0 < face["hific, tables"].bpp <= 1.01 * estimate + 24 * 8 / (112 * 96)
    assert "estimated_bpp" not in face["sae, tables"].metrics
    with pytest.raises(ValueError, match="hific has tables"):
        evaluate(f"checkpoint={paths}", "names=[sae,hific]", "coders=[fixed_length]")
    last = evaluate(f"checkpoint={paths}", "names=[sae,hific]", "coders=last", "classical=[]", "controls=false")
    assert {row.system for row in last} == {"sae, tables", "hific, tables"}


def test_a_fitted_model_has_rows_for_its_context_model_and_its_post_filter(
    evaluate: Evaluate, make_hific_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    """Classical codecs are matched to the last coder's bytes, without the post-filter."""
    path = make_hific_checkpoint()
    codec = load_codec(path)
    images = [photo(96, 80, seed) for seed in range(4)]
    fit = PostFilterFit(side=3, tile=16, rounds=0, pixels_per_photo=256)
    decoded = [np.asarray(codec.decompress(codec.compress(image))) for image in images]
    patches = [fit.patches(index, *pair) for index, pair in enumerate(zip(decoded, images, strict=True))]
    coding = replace(with_context(codec, images, "adaptive"), post_filter=fit(patches))
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hific"] = checkpoint_entry("fitted", codec.model, coding, {})
    torch.save(checkpoint, path)
    rows = evaluate(f"checkpoint={path}", "classical=[webp]", "num_images=1")
    face = {row.system: row for row in rows if not row.is_set}
    plain, filtered = "fitted, adaptive", "fitted, adaptive, post-filter"
    assert list(face) == ["fitted, tables", plain, filtered, "webp"]
    assert face["fitted, tables"].metrics["psnr"] == face[plain].metrics["psnr"] <= face[filtered].metrics["psnr"]
    assert face[plain].num_bytes <= face[filtered].num_bytes and face["webp"].max_bytes == face[plain].num_bytes
    assert 0 < face[filtered].metrics["post_filtered_share"] <= 1 and "estimated_bpp" in face[plain].metrics


def test_what_a_cache_knows_is_not_made_again(
    evaluate: Evaluate, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [
        f"checkpoint={checkpoints / 'sae.ckpt'}",
        "coders=last",
        "classical=[jpeg,webp]",
        f"cache={tmp_path}/cache",
    ]
    first = evaluate(*options)
    codec = [(LearnedCodec, name) for name in ("compress", "decompress")]
    for owner, name in (*codec, (PillowCodec, "compress"), (PSNR, "__call__"), (AlexNetFrechetDistance, "compute")):
        monkeypatch.setattr(owner, name, lambda *_: pytest.fail("made again"))
    again = evaluate(*options)
    assert [(row.num_bytes, row.setting, row.metrics, row.absent) for row in again] == [
        (row.num_bytes, row.setting, row.metrics, row.absent) for row in first
    ]
    assert [row.encode_seconds for row in again] == [row.encode_seconds for row in first]
    assert "an earlier evaluation where the cache had it" in (tmp_path / "report.md").read_text()
    with pytest.raises(pytest.fail.Exception, match="made again"):  # other options are another codec
        evaluate(*options, "max_pixels=3000000")


def test_a_run_without_perceptual_term_is_a_warning(evaluate: Evaluate, checkpoints: Path, tmp_path: Path) -> None:
    evaluate(f"checkpoint={checkpoints / 'sae.ckpt'}", "coders=[fixed_length]", "classical=[]", "num_images=1")
    assert "sae was trained without a perceptual term" in (tmp_path / "report.md").read_text()


def test_the_command_measures_classical_codecs_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null"]
    options = ["match_to=700", "codec=[jpeg,webp]", "panel.images=[suit]", "data=folder", f"data.root={photos}"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", f"hydra.run.dir={tmp_path}", *quiet, *options])
    runpy.run_path(str(REPOSITORY / "evaluate.py"), run_name="__main__")
    rows = read_rows(tmp_path / "measurements.parquet")
    assert [row.system for row in rows if row.image == "suit"] == ["jpeg", "webp"]
    assert all(row.num_bytes <= 700 for row in rows if not row.is_set)
    command = "python evaluate.py match_to=700 &#39;codec=[jpeg,webp]&#39; &#39;panel.images=[suit]&#39; data=folder"
    assert command in (tmp_path / "report.html").read_text()
    assert (tmp_path / "panel.png").is_file()


def test_what_does_not_fit_together_is_refused(evaluate: Evaluate, checkpoints: Path) -> None:
    with pytest.raises(ValueError, match=r"give checkpoint=\.\.\. or match_to=BYTES"):
        evaluate()
    with pytest.raises(ValueError, match="match_to=best"):
        evaluate("match_to=best")
    with pytest.raises(ValueError, match="no images to measure in its split 'val'"):
        evaluate("match_to=500", "split=val")
    path = checkpoints / "sae.ckpt"
    with pytest.raises(ValueError, match="give each a name of its own"):
        evaluate(f"checkpoint=[{path},{path}]")
