"""A study.yaml is checked when it is read, and every study that there is composes at every size."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from experiments.__main__ import main
from experiments.plan import Request, evaluations_wanted, plan_evaluation, plan_trainings
from experiments.study import FOLDER, After, CheckpointOf, parse_study, read_sizes, read_study, study_names
from hific.errors import OptionError

STUDY = {
    "title": "Side",
    "question": "How far?",
    "family": "hific",
    "cost": "nothing",
    "variants": {"a": ["model=hific"], "b": {"train": ["rate=low"], "after": {"init_from": "a/stage1.ckpt"}}},
}


SIZES = [(name, size) for name in study_names() for size in read_sizes(read_study(name).family)]


@pytest.mark.parametrize(
    ("name", "size"),
    [pytest.param(*one, marks=[pytest.mark.slow] if one[1] != "smoke" else []) for one in SIZES],
)
def test_every_study_composes_at_every_size(name: str, size: str, tmp_path: Path) -> None:
    study = read_study(name)
    data = ("data=folder", f"data.root={tmp_path}")
    request = Request(size, tmp_path / "out", data)
    trainings = plan_trainings(study, request)
    assert list(trainings) == list(study.variants)
    # Smoke does without pretrained weights in every variant, and the paper has one learning rate.
    if size not in ("smoke", "paper"):
        assert len({one.identity for one in trainings.values()}) == len(trainings), "two variants are the same training"
    for of_one, checkpoints in evaluations_wanted(study).items():
        evaluation = plan_evaluation(study, request, of_one, checkpoints, trainings)
        assert evaluation.overrides[1] == f"names=[{','.join(checkpoints)}]"


def test_what_is_typed_cannot_make_two_variants_one(tmp_path: Path) -> None:
    study, data = read_study("ablation_hific_strategy"), ("data=folder", f"data.root={tmp_path}")
    both = ("recipe.stage1_steps=400", "recipe.stage2_steps=100")
    with pytest.raises(OptionError, match=r"=400, .*two_stages and one_stage of .* would be one training"):
        plan_trainings(study, Request("small", tmp_path / "out", (*data, *both)))
    shorter = plan_trainings(study, Request("small", tmp_path / "out", (*data, "recipe.stage2_steps=100")))
    assert len({one.identity for one in shorter.values()}) == 3


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/study.yaml")), ids=lambda path: path.parent.name)
def test_a_study_has_a_page_that_names_its_command_and_no_code(path: Path) -> None:
    page = (path.parent / "README.md").read_text()
    assert f"python -m experiments {path.parent.name} " in page or "Results at `size=small`" in page
    assert not list(path.parent.glob("*.py"))


def test_commands_in_pages_name_studies_that_there_are() -> None:
    for page in [*FOLDER.glob("*/README.md"), FOLDER.parent / "README.md"]:
        text = page.read_text()
        assert not re.search(r"experiments\.\w+\.run|--bases? ", text), page
        named = set(re.findall(r"python -m experiments ([a-z]\w*)", text))
        assert named <= set(study_names()), page


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/paper.csv")), ids=lambda path: path.parent.name)
def test_claims_have_a_source_and_a_value_or_say_that_there_is_none(path: Path) -> None:
    with path.open() as file:
        for row in csv.DictReader(file):
            assert row["source"] and row["claim"] and row["value"], row


def test_the_example_in_the_guide_is_a_study(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert example is not None
    study = parse_study("x", OmegaConf.to_container(OmegaConf.create(example[1])), "x")
    assert len(plan_trainings(study, Request("smoke", tmp_path))) == len(study.variants) * len(study.seeds)


def test_what_a_study_says_is_read() -> None:
    study = parse_study("x", {**STUDY, "seeds": [1, 2], "codecs": ["avif"], "measure": {"m": {"l": "b"}}}, "x")
    assert study.variants["b"].after == After("init_from", CheckpointOf("a", "stage1.ckpt"))
    assert study.codecs == ("avif",) and study.seeds == (1, 2)
    assert study.measure == {"m": {"l": CheckpointOf("b", "last.ckpt")}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"varients": {}}, "x: unknown varients; known are title, question, family"),
        ({"title": None}, "x: title is missing"),
        ({"variants": {"a": "model=hific"}}, "x: variants.a: names with values are due, not 'model=hific'"),
        ({"variants": {"a": [1]}}, r"x: variants.a: a list of texts is due, not \[1\]"),
        ({"variants": {"a": {"trian": []}}}, "x: variants.a: unknown trian; known are train, sizes, shipped"),
        ({"variants": {"a": {"after": {"init_from": "b"}}}}, "x: variants.a is after b, which is not listed above it"),
        ({"variants": {"a": {"after": {"resume": "b"}}}}, "x: variants.a.after: unknown resume; known are init_from"),
        ({"variants": {"a": {"shipped": {"small": "b"}}}}, "x: variants.a.shipped: b is none of hific-low"),
        ({"measure": {"m": {"l": "c"}}}, "x: measure names c; variants are a, b"),
        ({"sizes": {"small": {"trian": []}}}, "x: sizes.small: unknown trian; known are train, evaluate"),
        ({"seeds": ["one"]}, "x: seeds=.*: a list of whole numbers is due"),
        ({"tables": {"t": {"kind": "pie"}}}, "x: tables.t: kind=pie is none of context_ablation, bytes_by_image"),
    ],
)
def test_what_is_wrong_in_a_study_is_told_in_a_line(change: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=f"^{told}") as error:
        parse_study("x", {**STUDY, **change}, "x")
    assert "\n" not in str(error.value)


def test_a_size_that_there_is_not_is_told(tmp_path: Path) -> None:
    study = parse_study("x", {**STUDY, "sizes": {"smal": {}}}, "x")
    with pytest.raises(OptionError, match="x: size=smal is none of smoke, tiny, short, shipped, small, paper"):
        plan_trainings(study, Request("small", tmp_path))
    with pytest.raises(OptionError, match="family=vae is none of compressnet, hific"):
        read_sizes("vae")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "which experiment"),
        (["nothing"], "nothing is no experiment; there are ablation_context_model"),
        (["hific_small", "size=huge"], "size=huge is none of smoke"),
        (["hific_small", "colour=1"], "variant low: train.py: Could not override 'colour'"),
        (["hific_small", "ckpt_path=a"], "ckpt_path is the experiment's own"),
        (["hific_small", "--use", "medium"], "--use medium: VARIANT=CHECKPOINT is due"),
        (["hific_small", "seeds=1"], r"seeds=1: whole numbers as in seeds=\[1,2,3\] are due"),
        (["hific_small", "--use", "huge=a.ckpt"], "hific_small has low, low_control, medium, "),
        (["hific_small", "--use", "low=absent.ckpt"], "there is no such checkpoint"),
    ],
)
def test_what_cannot_work_is_told_in_a_line_before_anything_runs(arguments: list[str], told: str) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{told}.*$"):
        main(arguments)


def test_the_list_has_every_study_with_its_cost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--list", "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == study_names()
    assert all("not run here" in line and read_study(line.split()[0]).cost in line for line in lines[1:])
