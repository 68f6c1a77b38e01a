"""The training for all rates: it goes on where it stopped, takes more blocks, and ends in files."""

from __future__ import annotations

import argparse
import csv
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.campaign import cards, export, loop, make_zoo, train_base, train_compressnet, train_synthesis
from experiments.campaign.crops import Crops, write_scaled_photos
from experiments.campaign.development import development_photos, split
from hific import zoo
from hific.codecs.load import load_codec
from hific.evaluation.equal_bytes import NEXT_SIZE
from hific.evaluation.measurement import Measurement


@pytest.fixture
def roots(tmp_path: Path) -> list[str]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (300, 320, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return [str(folder)]


def test_no_training_sees_the_development_split(roots: list[str], tmp_path: Path) -> None:
    files = split(roots)
    assert not set(files.files("train")) & set(files.files("val"))
    (photo,) = development_photos(roots)
    assert photo.shape == (192, 192, 3)
    write_scaled_photos(roots, tmp_path / "crops")
    crops = Crops(tmp_path / "crops", seed=0).batch(3, 64)
    assert crops.shape == (3, 3, 64, 64) and 0 <= crops.min() < crops.max() <= 1
    assert torch.equal(crops, Crops(tmp_path / "crops", seed=0).batch(3, 64))


def test_it_goes_on_grows_and_codes(
    roots: list[str],
    tmp_path: Path,
    random_weights_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(train_base, "START_STEPS", 2)
    monkeypatch.setattr(loop.signal, "signal", lambda *_: None)  # pytest has its own
    write_scaled_photos(roots, tmp_path / "crops")
    run = tmp_path / "run"
    run.mkdir()

    def train(blocks: str, batches: int, *more: str) -> dict[str, torch.Tensor]:
        small = ["--widths", "8", "12", "--latent-channels", "4", "--hyper-channels", "4", "--crop", "64"]
        common = ["--run", str(run), "--roots", *roots, "--weights-dir", "none", "--ranks", "1", *small]
        steps = ["--blocks", blocks, "1", "--batches", str(batches), "--measure-minutes", "0", *more]
        loop.run_rank(0, train_base.Base, train_base.parse([*common, *steps]))
        return dict(torch.load(run / "last.pt", weights_only=True)["weights"])

    threads = torch.get_num_threads()
    first = train("1", 3)
    second = train("2", 5)
    torch.set_num_threads(threads)
    assert set(first) < set(second) and not torch.equal(first["log_gains"], second["log_gains"])
    state = torch.load(run / "last.pt", weights_only=True)
    assert state["batches"] == 5 and state["arguments"]["residual_blocks"] == [2, 1]
    assert float(state["moments"]["log_gains"]["step"]) == 5
    assert float(state["moments"]["model.analysis.fine.1.widen.weight"]["step"]) == 2

    output = tmp_path / "one.ckpt"
    export.main([str(run / "base.pt"), "--weight", "1.0", "--roots", *roots, "--output", str(output)])
    codec = load_codec(output)
    assert codec.decompress(codec.compress(np.zeros((40, 50, 3), np.uint8))).size == (50, 40)

    folder = tmp_path / "zoo"
    few = ["--photos", "4", "--max-windows", "3000"]
    make_zoo.main([str(run / "base.pt"), "--roots", *roots, "--output", str(folder), *few])
    monkeypatch.setattr(zoo, "FOLDER", folder)
    zoo.describe.cache_clear()
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    for rate in zoo.RATES:
        plain, xgboost = load_codec(f"hific-{rate}"), load_codec(f"hific-xgboost-{rate}")
        decoded = [np.asarray(one.decompress(one.compress(image))) for one in (plain, xgboost)]
        assert np.array_equal(*decoded) and xgboost.coder == "context_coded" and plain.coder == "tables"
        own = sum((folder / f"hific-{kind}{rate}.safetensors").stat().st_size for kind in ("", "xgboost-"))
        assert own > 0 and zoo.describe(f"hific-{rate}").training["batches"] == 5

    # A synthesis of one rate's own: its files stay as they are, the others' pixels too.
    files = {rate: load_codec(f"hific-xgboost-{rate}").compress(image) for rate in zoo.RATES}
    plain = {rate: load_codec(f"hific-{rate}") for rate in zoo.RATES}
    pixels = {rate: codec.decompress(codec.compress(image)) for rate, codec in plain.items()}
    alone = tmp_path / "alone"
    alone.mkdir()
    steps = ["--run", str(alone), "--start-from", str(run / "base.pt"), "--weight", "5", "--roots", *roots]
    steps += ["--weights-dir", str(random_weights_dir), "--ranks", "1", "--crop", "64", "--lr", ".1"]
    steps += ["--adversarial-weight", ".1"]
    for batches, minutes in (("2", "0"), ("3", "1")):
        told = ["--batches", batches, "--measure-minutes", minutes]
        loop.run_rank(0, train_synthesis.Synthesis, train_synthesis.parse([*steps, *told]))
    state = torch.load(alone / "last.pt", weights_only=True)
    assert state["batches"] == 3 and state["optimizer_of_d"]["state"][0]["step"] == 3  # the adversary went on too
    measured = differences_measured(alone)
    assert measured["1.0", "bpp"][1] == measured["1.5", "bpp"][1] == 0 and measured["1.5", "psnr"][1] != 0
    (alone / "development.csv").unlink()
    (alone / "synthesis.pt").rename(tmp_path / "before.pt")
    told = ["--batches", "4", "--measure-minutes", "1", "--against", str(tmp_path / "before.pt")]
    loop.run_rank(0, train_synthesis.Synthesis, train_synthesis.parse([*steps, *told]))
    torch.set_num_threads(threads)
    for case, (before, _) in differences_measured(alone).items():
        assert before == pytest.approx(sum(measured[case]), rel=1e-2), case  # float16 is what is kept of a synthesis
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    make_zoo.main([str(alone / "synthesis.pt"), "--output", str(folder)])
    zoo.describe.cache_clear()
    assert zoo.describe("hific-low").training["synthesis_batches"] == 4
    for rate in zoo.RATES:
        codec = load_codec(f"hific-{rate}")
        assert (codec.decompress(codec.compress(image)) == pixels[rate]) == (rate != "low")
        assert (load_codec(f"hific-xgboost-{rate}").compress(image) == files[rate]) == (rate != "low")
    assert len(load_codec("hific-xgboost-low").compress(image)) == len(files["low"])
    after = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    assert set(after) - set(before) == {"hific-networks-medium-high.safetensors"}
    assert sum(map(len, after.values())) < 2 * sum(map(len, before.values()))
    # Another rate's: nothing is shared by two of the three then.
    synthesis = torch.load(alone / "synthesis.pt", weights_only=True)["synthesis"]
    of_medium = {"synthesis": {name: 2 * value for name, value in synthesis.items()}, "weight": 1.4, "batches": 2}
    torch.save(of_medium, alone / "medium.pt")
    make_zoo.main([str(alone / "medium.pt"), "--output", str(folder)])
    assert {path.name for path in folder.glob("*.safetensors")} == set(before)
    zoo.describe.cache_clear()
    assert zoo.describe("hific-low").training["synthesis_batches"] == 4
    torch.save(of_medium | {"weight": 7.0}, alone / "none.pt")
    with pytest.raises(SystemExit):
        make_zoo.main([str(alone / "none.pt"), "--output", str(folder)])
    assert "of weight 7; the shipped rates are low 5, medium 1.4, high 0.41" in capsys.readouterr().err
    zoo.describe.cache_clear()

    (run / "last.pt").unlink()
    train("2", 6, "--start-from", str(run / "base.pt"))
    assert torch.load(run / "last.pt", weights_only=True)["first"] == 5


@pytest.mark.parametrize(
    ("networks", "own"),
    [
        ("--transform pools --linear-shortcut --widths 4 6 8 10 12 --blocks 1", "shortcut"),
        ("--transform patch --widths 6 8 --blocks 1 1 --start-from hific.ckpt", "synthesis.entry"),
    ],
)
def test_the_rates_of_compressnet_share_networks_and_code(
    networks: str,
    own: str,
    roots: list[str],
    tmp_path: Path,
    random_weights_dir: Path,
    make_hific_checkpoint: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patch = {"transform": "patch", "normalization": "none", "widths": (6, 8), "residual_blocks": (1, 1)}
    monkeypatch.chdir(make_hific_checkpoint(**patch, latent_channels=9).parent)
    monkeypatch.setattr(loop.signal, "signal", lambda *_: None)
    write_scaled_photos(roots, tmp_path / "crops")
    run, threads = tmp_path / "run", torch.get_num_threads()
    run.mkdir()
    small = ["--batch", "2", "--low-every", "2", *networks.split()]
    common = ["--run", str(run), "--roots", *roots, "--weights-dir", str(random_weights_dir), "--ranks", "1", *small]

    def train(batches: int) -> dict[str, torch.Tensor]:
        steps = ["--batches", str(batches), "--measure-minutes", "0"]
        loop.run_rank(0, train_compressnet.CompressNetTraining, train_compressnet.parse([*common, *steps]))
        return dict(torch.load(run / "last.pt", weights_only=True)["weights"])

    first, second = train(2), train(3)
    torch.set_num_threads(threads)
    moved = {name for name in first if not torch.equal(first[name], second[name])}
    assert any(name.startswith(f"of_rate.low.{own}") for name in moved)  # whose turn it was
    assert not any(name.startswith(f"of_rate.high.{own}") for name in moved)
    assert torch.load(run / "last.pt", weights_only=True)["batches"] == 3

    folder = tmp_path / "zoo"
    monkeypatch.setattr(make_zoo, "LARGEST_FILE", 10_000)
    make_zoo.main([str(run / "compressnet.pt"), "--roots", *roots, "--output", str(folder), "--photos", "4"])
    assert max(path.stat().st_size for path in folder.glob("compressnet-networks*")) < 30_000
    monkeypatch.setattr(zoo, "FOLDER", folder)
    zoo.describe.cache_clear()
    shutil.copy(zoo.PERCEPTUAL_FEATURES, folder)
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    for name in zoo.COMPRESSNETS:
        codec = load_codec(name)
        assert codec.coder == "context_coded" and zoo.describe(name).training["batches"] == 3
        file = codec.with_options(effort=2).compress(image)
        assert codec.decompress(file).size == (90, 70)
    zoo.describe.cache_clear()


def test_more_rates_leave_the_gains_of_those_between() -> None:
    old = torch.tensor([0.2, 0.5, 1.3]).log()
    gains = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    line = old[:, None] * torch.tensor([[-0.5, 0.1, 0.0, 2.0]])  # what is on one line stays on it
    for log_gains in (gains, line):
        moved = train_base.at_rates({"anchors": old, "log_gains": log_gains}, torch.tensor([0.05, 0.2, 0.5, 1.3]).log())
        assert torch.allclose(moved["log_gains"][1:], log_gains, atol=1e-6)
    assert torch.allclose(moved["log_gains"][0], moved["anchors"][0] * torch.tensor([-0.5, 0.1, 0.0, 2.0]), atol=1e-5)


def test_the_learning_rate_ends_at_zero(roots: list[str], tmp_path: Path) -> None:
    write_scaled_photos(roots, tmp_path / "crops")
    small = ["--widths", "8", "12", "--latent-channels", "4", "--hyper-channels", "4", "--blocks", "1", "1"]
    fixed = [
        "--run",
        str(tmp_path / "run"),
        "--roots",
        *roots,
        "--weights-dir",
        "none",
        "--ranks",
        "1",
        "--crop",
        "192",
    ]
    steps = ["--batches", "1000", "--cool-down", "200", "--ms-ssim-weight", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_base, "START_STEPS", 1)
        patch.setattr(train_base, "START_CROPS", 2)
        base = train_base.Base(train_base.parse([*small, *fixed, *steps]), 0)
    rates = []
    for batches in (700, 900, 1000):
        base.batches = batches
        assert base.step()["late"] > 0
        rates.append(base.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 5e-4, 0.0])


def test_cards_say_first_what_falls_short() -> None:
    def row(
        system: str, image: str, num_bytes: int, psnr: float, lpips: float, limit: int | None = None
    ) -> Measurement:
        metrics = {"psnr": psnr, "lpips_squeeze": lpips}
        return Measurement(
            system, "c", "", image, 96, 96, 9216, num_bytes, metrics, max_bytes=limit, encode_seconds=1.0
        )

    def rows(ours: str, psnr: float) -> list[Measurement]:
        found = []
        for number, image in enumerate("abcd"):
            found += [
                row(ours, image, 1000, psnr + number, 0.2),
                row(f"avif <= {ours}", image, 900, 25.5 + number, 0.31),
                row(f"avif <= {ours}{NEXT_SIZE}", image, 1100, 25.9 + number, 0.29),
            ]
        return found

    plain, searched = rows("hific-xgboost-low, xgboost", 25), rows("hific-xgboost-low, xgboost, effort 70", 26)
    for name in ("hific-low", "hific-xgboost-low"):
        card = cards.card(name, (cards.FOLDER / "card.md").read_text(), plain, searched)
        _, _, first, _, second, *_ = card.splitlines()
        assert card.startswith(f"# {name}\n") and first.index("worse in PSNR") < first.index("better in LPIPS-Squeeze")
        assert "PSNR, dB (-0.71 [-0.71, -0.71])" in first and "4 of 4" in card and "| WebP |" not in card
        assert second.startswith("With `--effort 70`, against AVIF") and "better in PSNR, dB (+0.29" in second
    earlier = [replace(one, fingerprint="0" * 64) if one.system.startswith("hific") else one for one in searched]
    card = cards.card("hific-low", (cards.FOLDER / "card.md").read_text(), plain, earlier)
    _, _, first, _, second, *_ = card.splitlines()
    assert second.endswith("**These numbers are of the model as it was before its latest training.**")
    assert "before its latest" not in first


def test_losses_are_means_of_the_batches_that_there_were_and_columns_keep_their_names(tmp_path: Path) -> None:
    class Steps:
        """A training that goes on from its 98th batch."""

        batches, seconds = 97, 0.0

        def step(self) -> dict[str, float]:
            self.batches += 1
            return {"loss": float(self.batches)}

        def save(self) -> None: ...

        def measure(self) -> None: ...

    options = argparse.Namespace(run=tmp_path, ranks=1, batches=200, hours=1, save_minutes=9, measure_minutes=0)
    threads = torch.get_num_threads()
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    loop.run_rank(0, lambda *_: Steps(), options)
    for kind, handler in handlers.items():
        signal.signal(kind, handler)
    torch.set_num_threads(threads)
    with open(tmp_path / "curve.csv") as file:
        assert [(row["batches"], row["loss"]) for row in csv.DictReader(file)] == [("100", "99.0"), ("200", "150.5")]
    loop.append(tmp_path / "curve.csv", {"batches": 300, "mse": 1.0})
    assert (tmp_path / "curve_1.csv").read_text().startswith("batches,cpu_seconds,loss\n100,")
    assert (tmp_path / "curve.csv").read_text().splitlines() == ["batches,mse", "300,1.0"]


def differences_measured(run: Path) -> dict[tuple[str, str], tuple[float, float]]:
    """What was before, and the difference, by scale and metric."""
    with open(run / "development.csv") as file:
        return {
            (row["scale"], row["metric"]): (float(row["before"]), float(row["difference"]))
            for row in csv.DictReader(file)
        }
