"""Writes docs/options.md from conf/: what train.py and evaluate.py can be told, with defaults and comments as they
stand there.

    python docs/write_options.py

A test fails where the file is not what this would write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CONF, TARGET = ROOT / "conf", ROOT / "docs" / "options.md"
SIZES = ("tiny", "small", "paper")
FAMILIES = {"compressnet": "`sae`, `swwae`, `sae_spn`", "gc": "`gc`", "hific": "`hific`, `hific_xgboost`, `hific_knn`"}
TRAINING = ("model", "rate", "size", "data", "context_model", "postfilter", "trainer", "logger", "experiment", "debug")
# By what they are called at the command line, their folders in conf/.
DISCRIMINATOR = "model/adversary/discriminator"
GROUPS = {name: name for name in (*TRAINING, DISCRIMINATOR)} | {"launcher": "hydra/launcher", "sweep": "hydra/sweeper"}
# Files whose values are options of the group, in the order of the tables; others only say how they differ.
VALUES = (
    "model/base/compressnet.yaml",
    "model/hific.yaml",
    f"{DISCRIMINATOR}/conditional_patch.yaml",
    f"{DISCRIMINATOR}/projected.yaml",
    "data/base/image_datamodule.yaml",
    "context_model/xgboost.yaml",
    "context_model/knn.yaml",
    "context_model/adaptive.yaml",
    "context_model/linear.yaml",
    "postfilter/xgboost.yaml",
    "postfilter/linear.yaml",
    "trainer/cpu.yaml",
    "callbacks/default.yaml",
    "hydra/launcher/processes.yaml",
    "hydra/launcher/slurm.yaml",
    "hydra/launcher/ray.yaml",
    "hydra/sweeper/optuna.yaml",
)
NOT_OPTIONS = ("defaults", "hydra", "fitting", "training_info")
SECTION = re.compile(r"^(Photos|Networks|Optimization|Distortion|Rate|Losses)\b( \([^)]*\))?\.?")
LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w.]+):(?: (?P<value>[^#]*?))?(?: *# (?P<comment>.*))?$")
INTRODUCTION = """\
# Options

Of `train.py`, and [of `evaluate.py`](#evaluatepy). Generated from `conf/` by `python docs/write_options.py`; a test
keeps it so. `python train.py --help` is shorter.

`GROUP=CHOICE` chooses a file, `OPTION=VALUE` sets any value below. A value like `${recipe.crop}` is taken from there:
set it at its source (`recipe.crop=128`), which all that use it see.
"""


class Option(NamedTuple):
    """A leaf of a configuration file: its dotted name in the file, its text and what is said of it."""

    name: str
    value: str
    comment: str


def options_of(path: Path) -> Iterator[Option]:
    """Without Hydra's own."""
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    lines = path.read_text().splitlines()
    for line in lines[len(header_of(path)) :]:
        text = line.strip()
        if text.startswith("#"):
            above.append(text.lstrip("# "))
            continue
        match = LINE.match(line)
        if match is None:
            above = []
            continue
        indent = len(match["indent"])
        parents = [one for one in parents if one[0] < indent]
        name = ".".join([*(one[1] for one in parents), match["key"]])
        comment = SECTION.sub("", " ".join([*above, match["comment"] or ""])).strip()
        above = []
        if match["value"]:
            if not match["key"].startswith("_") and name.split(".")[0] not in NOT_OPTIONS:
                yield Option(name, match["value"].strip(), comment)
        else:
            parents.append((indent, match["key"]))


def header_of(path: Path) -> list[str]:
    """The comment that a file begins with."""
    lines = path.read_text().splitlines()
    count = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:count]


def summary_of(path: Path) -> str:
    """The header, without commands and without what differs from a paper."""
    lines = [line.lstrip("# ") for line in header_of(path)]
    return " ".join(line for line in lines if not line.startswith(("@", "python", "Differs")))


def defaults() -> dict[str, str]:
    """Each group's choice in conf/train.yaml."""
    return dict(re.findall(r"^  - (\w+): (\w+)$", (CONF / "train.yaml").read_text(), flags=re.MULTILINE))


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    escaped = (tuple(cell.replace("|", "\\|").replace("<", "&lt;") for cell in line) for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped) + "\n"


def table_of_choices() -> str:
    chosen = defaults()
    rows = []
    for group, folder in GROUPS.items():
        for path in sorted((CONF / folder).glob("*.yaml")):
            mark = " (default)" if chosen.get(group) == path.stem else ""
            rows.append((f"`{group}={path.stem}`{mark}", summary_of(path)))
    return table(("choice", "what"), rows)


def table_of_values(path: Path, prefix: str) -> str:
    rows = [(f"`{prefix}{one.name}`", f"`{one.value}`", one.comment) for one in options_of(path)]
    return table(("option", "default", "what"), rows)


def table_of_recipe(family: str) -> str:
    files = [CONF / "recipe" / f"{family}_{size}.yaml" for size in SIZES]
    columns = [{one.name: one for one in options_of(path)} for path in files]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = []
    for name in names:
        found = [column.get(name) for column in columns]
        said = list(dict.fromkeys(one.comment for one in found[1:] if one is not None and one.comment))
        rows.append((f"`recipe.{name}`", *(f"`{one.value}`" if one else "" for one in found), "; ".join(said)))
    return table(("option", *SIZES, "what (small; paper)"), rows)


def text() -> str:
    parts = [INTRODUCTION, "## Choices\n", table_of_choices(), "## At the top\n"]
    parts.append(table_of_values(CONF / "train.yaml", ""))
    parts.append("## Recipes\n\n`size=` chooses the column, `model=` the table.\n")
    for family, models in FAMILIES.items():
        parts += [f"### {models}\n", table_of_recipe(family)]
    parts.append("## Parts\n")
    for name in VALUES:
        group = ".".join(part for part in Path(name).parent.parts if part != "base")
        parts += [f"### conf/{name}\n", table_of_values(CONF / name, f"{group}.")]
    parts += ["## evaluate.py\n", table_of_values(CONF / "evaluate.yaml", "")]
    codecs = sorted((CONF / "codec").glob("*.yaml"))
    parts += ["### Classical codecs\n", "`codec=[NAME,NAME]` chooses files of conf/codec:\n"]
    parts.append(table(("choice", "what"), [(f"`{path.stem}`", summary_of(path)) for path in codecs]))
    values = [(f"`codec.{one.name}`", f"`{one.value}`", one.comment) for path in codecs for one in options_of(path)]
    values = [line for line in values if not line[0].endswith(".name`")]  # which codec it is, none's option
    parts.append(table(("option", "default", "what"), values))
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(text())
