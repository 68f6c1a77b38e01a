"""What is wrong with the options of train.py is told in one line that names the option and its choices; status 1."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from tiny_overrides import TINY_COMPRESSNET

from hific.cli.hydra_app import with_overrides
from hific.cli.train_options import fits

REPOSITORY = Path(__file__).resolve().parents[1]
Told = Callable[..., str]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Told:
    """`told("rate=3", ...)`: what train.py ends with, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("HIFIC_WEIGHTS", raising=False)

    def run(*arguments: str) -> str:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [str(REPOSITORY / "train.py"), "hydra.run.dir=run", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPOSITORY / "train.py"), run_name="__main__")
        assert isinstance(ended.value.code, str), "a message, and so status 1"
        assert "Error executing job" not in capsys.readouterr().err
        return ended.value.code

    return run


WRONG: list[tuple[str, list[str]]] = [
    # Groups
    ("rate=3", ["rate=3", "low, medium"]),
    ("rate=0.2", ["rate=0.2", "low, medium"]),
    ("rate=null", ["rate=null", "low, medium"]),
    ("rate=extreme", ["rate=extreme", "low, medium"]),
    ("logger=null", ["logger=null", "csv, none"]),
    ("size=big", ["size=big", "paper, small, tiny"]),
    ("model=nothing", ["model=nothing", "hific_knn"]),
    ("model=compressnet", ["model=compressnet", "sae_spn"]),
    ("context_model=lin", ["context_model=lin", "adaptive, knn, linear, none, xgboost"]),
    ("postfilter=lin", ["postfilter=lin", "linear, none, xgboost"]),
    ("trainer=tpu", ["trainer=tpu", "cpu, ddp, gpu"]),
    # Names
    ("model.no_such_option=1", ["model.no_such_option", "no such option", "init_from"]),
    ("no_such_option=1", ["no_such_option: no such option", "base_checkpoint"]),
    ("+model.no_such_option=1", ["model.no_such_option: no such option", "init_from"]),
    ("size.max_steps=3", ["size.max_steps: no such option"]),
    ("model=hific recipe.steps=3", ["recipe.steps: no such option", "stage1_steps"]),
    ("data.batch_size=2", ["data.batch_size: no such option", "global_batch_size"]),
    ("model=[", ["model=["]),
    # Types and ranges, by the name that the user set
    ("seed=abc", ["seed=abc", "a whole number"]),
    ("seed=-1", ["seed=-1"]),
    ("test=3", ["test=3", "true or false"]),
    ("recipe.steps=abc", ["recipe.steps=abc", "a whole number"]),
    ("recipe.steps=0", ["recipe.steps=0 must be 1 or more"]),
    ("model=hific recipe.stage1_steps=abc", ["recipe.stage1_steps=abc", "a whole number"]),
    ("model=hific recipe.stage1_steps=-1", ["recipe.stage1_steps=-1 must be 0 or more"]),
    ("model=hific recipe.initialization=linear", ["recipe.initialization=linear", "random or klt or lapped"]),
    ("model=hific recipe.normalization=channel", ["normalization=none"]),
    ("recipe.batch_size=0", ["recipe.batch_size=0 must be 1 or more"]),
    ("recipe.batch_size=2.5", ["recipe.batch_size=2.5", "a whole number"]),
    ("recipe.crop=40", ["crop of 40", "data.crop must be"]),
    ("recipe.widths=3", ["recipe.widths=3", "a list"]),
    ("recipe.widths=[1,2]", ["widths"]),
    ("recipe.learning_rate=1", ["recipe.learning_rate: no such option", "optimizer"]),
    ("recipe.optimizer.lr=fast", ["recipe.optimizer.lr=fast", "a number"]),
    ("recipe.gan_loss=wgan", ["recipe.gan_loss=wgan", "vanilla or saturating or lsgan"]),
    ("recipe.perceptual=vgg", ["recipe.perceptual=vgg", "conv4 or lpips_alex or none"]),
    ("trainer.precision=17", ["trainer.precision=17", "bf16-mixed"]),
    ("trainer.accelerator=cup", ["cup"]),
    ("trainer.max_steps=3", ["trainer.max_steps=3", "recipe.steps"]),
    ("model=hific trainer.max_steps=3", ["trainer.max_steps=3", "recipe.stage1_steps and recipe.stage2_steps"]),
    ("trainer.devices=3 data.global_batch_size=8", ["global_batch_size=8", "3 equal parts"]),
    ("trainer.devices=abc", ["trainer", "devices"]),
    ("seed=${nope}", ["seed", "nope"]),
    ("~recipe.steps", ["recipe.steps"]),
    ("model.adversary.discriminator.widths=[a]", ["model.adversary.discriminator.widths=", "a list"]),
    (
        "model/adversary/discriminator=projected",
        ["model/adversary/discriminator", "nothing that is chosen has such a part"],
    ),
    ("model=hific model/adversary/discriminator=x", ["discriminator=x is none of conditional_patch, projected"]),
    ("model/adversary=x", ["model/adversary", "nothing that is chosen has such a part"]),
    ("callbacks.last.every_n_steps=0", ["every_n_steps=0"]),
    # Data
    ("data.root=typo", ["bundled", "takes no root", "data=folder"]),
    ("data=kodak", ["data=kodak", "data.root=FOLDER"]),
    ("experiment=compressnet_paper", ["data.root.cityscapes=FOLDER", "data.root.clic=FOLDER"]),
    ("experiment=compressnet_paper data.root.clic=/x", ["data.root.cityscapes=FOLDER"]),
    ("experiment=compressnet_paper data.root=/x", ["data.root.cityscapes=FOLDER data.root.clic=FOLDER"]),
    # Beginnings and weights
    ("ckpt_path=absent.ckpt", ["ckpt_path=absent.ckpt", "no such file"]),
    ("init_from=absent.ckpt", ["init_from=absent.ckpt", "no such checkpoint"]),
    ("base_checkpoint=absent.ckpt context_model=xgboost", ["absent.ckpt", "no such checkpoint"]),
    ("init_from=a ckpt_path=b", ["ckpt_path and init_from exclude"]),
    ("weights.dir=typo", ["weights.dir=typo", "no such folder"]),
    ("recipe.perceptual=lpips_alex weights.dir=typo", ["weights.dir=typo", "no such folder"]),
]


@pytest.mark.parametrize(("options", "parts"), WRONG)
def test_wrong_options_are_told_in_a_line(options: str, parts: list[str], told: Told) -> None:
    small = [] if "model=hific" in options or "experiment" in options else TINY_COMPRESSNET
    if "model=hific" in options:
        small = ["recipe.perceptual=none"]
    message = told(*[one for one in small if one.partition("=")[0] not in options], *options.split())
    assert message.startswith("error: ") and "\n" not in message.strip(), message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        ("train.py", "modle=sae"),
        ("train.py", "-m modle=sae,gc"),
        ("train.py", "-m recipe.stepz=3,4"),
        ("train.py", "--help"),
        ("evaluate.py", "chekpoint=a"),
    ],
)
def test_options_are_told_without_waiting_for_libraries(script: str, asked: str, tmp_path: Path) -> None:
    code = "import runpy, sys\nsys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += "finally: print('loaded:', sorted({'torch', 'lightning'} & set(sys.modules)))"
    command = [sys.executable, "-c", code, str(REPOSITORY / script), *asked.split()]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.stdout.endswith("loaded: []\n") and told.returncode == (asked != "--help")


def test_a_set_that_is_not_there_shows_the_tree_that_is_expected(told: Told) -> None:
    said = told("data=div2k", "data.root=absent")
    assert said.startswith("error: div2k: 800 of 800 files are missing, the first is ab")


def test_a_folder_of_photos_for_one_split_only_is_told(told: Told, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    assert "data.crop" in told(*TINY_COMPRESSNET, "data=folder", f"data.root={tmp_path}", "recipe.crop=40")


def test_types_are_checked_as_annotated() -> None:
    cases: list[tuple[Any, Any, bool]] = [
        (1, int, True),
        (True, int, False),
        (1.5, int, False),
        (1, float, True),
        ("1", float, False),
        (None, int | None, True),
        ([1, 2], Sequence[int], True),
        ([1, "a"], Sequence[int], False),
        ("a", Literal["a", "b"], True),
        (1, Literal[True], False),
        ("photos", str | Path | None, True),
        ({"_target_": "a.B"}, Path | None, False),
        ({"_target_": "a.B"}, Image.Image, True),
        (3, Image.Image, False),
        (3, Any, True),
    ]
    for value, hint, expected in cases:
        assert fits(value, hint) is expected, (value, hint)


@pytest.mark.parametrize(
    ("given", "all_of_them"),
    [
        (["a=1", "--cfg", "job", "-p", "recipe"], ["b=2", "a=1", "--cfg", "job", "-p", "recipe"]),
        (["-m", "a=1,2"], ["-m", "b=2", "a=1,2"]),
        (["--config-dir=conf", "a=1"], ["--config-dir=conf", "b=2", "a=1"]),
        (["-m"], ["b=2", "-m"]),
    ],
)
def test_what_is_added_stands_beside_the_other_overrides(given: list[str], all_of_them: list[str]) -> None:
    assert with_overrides(given, ["b=2"]) == all_of_them
