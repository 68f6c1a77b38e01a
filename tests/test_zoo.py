"""The models that travel with the package: whole, small, and found by everything that takes a checkpoint."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from torch import nn

from hific import zoo
from hific.cli import main
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.coding.container import read_info
from hific.errors import CheckpointError, OptionError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.training.beginnings import load_matching_weights

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def codecs() -> dict[str, LearnedCodec]:
    return {name: load_codec(name) for name in zoo.MODELS}


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[100:292, 120:320])


@pytest.fixture
def here(tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HIFIC_CHECKPOINT", raising=False)
    Image.fromarray(photo).save("photo.png")
    return tmp_path


def test_files_are_those_of_the_table_and_small() -> None:
    files = {path.stem: path.stat().st_size for path in zoo.FOLDER.glob("*.safetensors")}
    assert set(zoo.MODELS) < set(files)
    assert max(files.values()) <= 12e6 and sum(files.values()) <= 40e6
    assert zoo.DEFAULT in zoo.BY_RATE and set(zoo.BY_RATE) <= set(zoo.MODELS)
    for name in zoo.MODELS:
        assert (zoo.FOLDER / f"{name}.md").read_text().startswith(f"# {name}\n")


def test_rates_rise_and_the_context_model_keeps_pixels(codecs: dict[str, LearnedCodec], photo: np.ndarray) -> None:
    files = {name: codec.compress(photo) for name, codec in codecs.items()}
    pixels = {name: np.asarray(codecs[name].decompress(data)) for name, data in files.items()}
    errors = {name: float(np.square(pixels[name].astype(float) - photo).mean()) for name in files}
    for low, high in zip(zoo.BY_RATE, zoo.BY_RATE[1:], strict=False):
        assert len(files[low]) < len(files[high]) and errors[low] > errors[high]
    for rate in zoo.RATES:
        assert len(files[f"hific-xgboost-{rate}"]) < len(files[f"hific-{rate}"])
        assert np.array_equal(pixels[f"hific-xgboost-{rate}"], pixels[f"hific-{rate}"])
    assert errors["hific-low"] < 300  # 23.4 dB: trained, whatever the libraries' versions


def test_another_process_with_one_thread_decodes_the_same(
    codecs: dict[str, LearnedCodec], here: Path, photo: np.ndarray
) -> None:
    for name, codec in codecs.items():
        (here / f"{name}.hfc").write_bytes(codec.compress(photo))
    command = [sys.executable, "-m", "hific.cli", "decompress", *sorted(map(str, here.glob("*.hfc")))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, codec in codecs.items():
        there = np.asarray(Image.open(here / f"{name}.png")).astype(int)
        ours = np.asarray(codec.decompress((here / f"{name}.hfc").read_bytes())).astype(int)
        assert abs(there - ours).max() <= 1  # float rounding; the symbols are equal


def test_the_command_line_needs_no_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "photo.png"]) == 0
    made_by = read_info((here / "photo.hfc").read_bytes()).fingerprint
    assert zoo.describe(zoo.DEFAULT).fingerprint.startswith(made_by)
    (here / "photo.png").unlink()
    assert main(["decompress", "photo.hfc"]) == 0
    assert Image.open(here / "photo.png").size == (200, 192)
    capsys.readouterr()
    assert main(["info", "photo.hfc"]) == 0
    assert f"({zoo.DEFAULT})" in capsys.readouterr().out


def test_a_limit_chooses_among_the_rates(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = []
    for bpp in ("0.3", "5"):
        assert main(["compress", "photo.png", "--bpp", bpp, "--force"]) == 0
        sizes.append((here / "photo.hfc").stat().st_size)
    assert 8 * sizes[0] / (200 * 192) <= 0.3 and sizes[0] < sizes[1]
    assert "hific-xgboost-high" in capsys.readouterr().err
    assert main(["compress", "photo.png", "--max-bytes", "20", "--force"]) == 1


def test_a_shipped_model_is_named_like_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "photo.png", "--checkpoint", "hific-low"]) == 0
    assert main(["compress", "photo.png", "--checkpoint", "hific-lo", "--force"]) == 2
    assert "hific-xgboost-low" in capsys.readouterr().err
    (here / "hific-high").write_bytes(b"a file of that name is the one that is meant")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_codec("hific-high")


def test_models_are_listed_and_have_cards(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert all(re.search(rf"^{name} +model [0-9a-f]{{8}}, ", listed, re.M) for name in zoo.MODELS)
    assert main(["models", "hific-low"]) == 0
    assert capsys.readouterr().out.startswith("# hific-low\n")
    with pytest.raises(SystemExit):
        main(["models", "hific-lowest"])


def test_damage_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for path in zoo.FOLDER.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    for name, damage in (("hific-low", lambda data: data[:-9]), ("hific-medium", _flip), ("hific-high", lambda _: b"")):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(CheckpointError):
            load_codec(name)
    (tmp_path / "hific-networks.safetensors").unlink()
    with pytest.raises(CheckpointError, match="install the package anew"):
        load_codec("hific-xgboost-low")
    zoo.describe.cache_clear()
    assert main(["models"]) == 2
    assert "install the package anew" in capsys.readouterr().err
    assert zoo.made_by(bytes(4)) is None  # what says which model made a file needs none
    zoo.describe.cache_clear()


def _flip(data: bytes) -> bytes:
    return data[:-1000] + bytes([data[-1000] ^ 64]) + data[-999:]


def test_trainings_begin_from_them() -> None:
    model = HyperpriorAutoencoder(**load_codec("hific-low").model.arguments)
    module = nn.Module()
    module.model = model
    load_matching_weights(module, "hific-low")
    theirs = load_codec("hific-low").model.state_dict()
    assert all(np.array_equal(value, theirs[name]) for name, value in model.state_dict().items())
    with pytest.raises(OptionError, match="init_from=hific-lo:"):
        load_matching_weights(module, "hific-lo")


def test_loading_imports_no_compiler() -> None:
    """torch._dynamo takes two seconds, and arithmetic on the meta device is enough to bring it in."""
    code = "import sys, hific; hific.load_codec('hific-xgboost-low'); assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_wheel_alone_compresses(here: Path) -> None:
    # In a copy: setuptools builds beside its sources, and takes along what it finds from before.
    shutil.copytree(ROOT / "hific", here / "source" / "hific", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, here / "source")
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", ".", "./source"]
    subprocess.run(wheel, check=True, cwd=here)
    (built,) = here.glob("*.whl")
    assert built.stat().st_size < 45e6
    zipfile.ZipFile(built).extractall(here / "installed")
    environment = {**os.environ, "PYTHONPATH": str(here / "installed"), "OMP_NUM_THREADS": "1"}
    for arguments in (["compress", "photo.png", "--bpp", "1"], ["decompress", "photo.hfc", "-o", "decoded.png"]):
        code = "import hific.cli, sys; assert 'installed' in hific.__file__; sys.exit(hific.cli.main())"
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=here, env=environment)
    assert Image.open(here / "decoded.png").size == (200, 192)
