"""What a training or an evaluation is told by: its options, the photos and weights it reads, the code that runs.

Two runs with equal content give the same result, so one folder serves both; everything else is another folder.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.process import ROOT
from hific import zoo
from hific.errors import OptionError
from hific.io.file_digest import file_digest

# Where a run goes and what it tells on the way: no part of what it is.
ASIDE = ("output_dir", "ckpt_path", "checkpoint", "names", "logger")
# Options that name folders or files: what lies there counts, not the path.
PATHS = ("data.root", "weights.dir", "weights.inception", "init_from", "base_checkpoint")
# Of hific: what no training calls, but for these files.
NOT_TRAINED_WITH = ("cli", "evaluation", "study")
TRAINED_WITH = ("cli/training.py", "cli/run_folder.py", "cli/point_ranks.py")


@dataclass(frozen=True)
class Content:
    """facts: as JSON has them, for a person who asks why two runs are not one."""

    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Twelve digits of the hash."""
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        return json.dumps(self.facts, indent=1, sort_keys=True) + "\n"


def training_content(overrides: Sequence[str], after: Mapping[str, str]) -> Content:
    """`after`: what the run begins with, by the option that takes it, as text that identifies it."""
    return Content({**_options("train", overrides), "after": dict(after), "code": code_version("train.py")})


def evaluation_content(overrides: Sequence[str], checkpoints: Mapping[str, str]) -> Content:
    """`checkpoints`: by their labels, as text that identifies each."""
    facts = {"checkpoints": list(checkpoints.items()), "code": code_version("evaluate.py")}
    facts["searched_by"] = file_digest(zoo.PERCEPTUAL_FEATURES)
    return Content({**_options("evaluate", overrides), **facts})


def listing(folder: Path) -> str:
    """Number and hash of the names and sizes of all files below `folder`; each folder once, links followed."""
    files, seen = [], set()
    for directory, subfolders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(directory))
        subfolders[:] = [name for name in subfolders if os.path.realpath(Path(directory, name)) not in seen]
        paths = (Path(directory, name) for name in names)
        files += [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in paths if path.is_file()]
    return f"{len(files)} files, {hashlib.sha256(chr(10).join(sorted(files)).encode()).hexdigest()}"


@cache
def code_version(script: str) -> str:
    """Of what `script` runs: hashed without comments and docstrings, which change nothing."""
    package = ROOT / "hific"
    left_out = NOT_TRAINED_WITH if script == "train.py" else ()
    digest = hashlib.sha256()
    for path in [ROOT / script, *sorted(package.rglob("*.py"))]:
        name = path.relative_to(package) if path.is_relative_to(package) else path
        if name.parts[0] in left_out and name.as_posix() not in TRAINED_WITH:
            continue
        digest.update(f"{path.relative_to(ROOT).as_posix()}\n{_bare(path.read_text())}\n".encode())
    return digest.hexdigest()


def _bare(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _options(script: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The composed configuration of `script`, and what its PATHS hold. Raises OptionError where it does not compose."""
    options = deepcopy(_composed(script, tuple(overrides)))
    held = {option: [_path_id(path) for path in _paths(_take(options, option))] for option in PATHS}
    for option in ASIDE:
        options.pop(option, None)
    return {"options": options, "paths": {option: found for option, found in held.items() if found}}


@cache
def _composed(script: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    """With interpolations as they are: what they stand for is in it too."""
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose(script, list(overrides))
        return OmegaConf.to_container(config, resolve=False)  # type: ignore[return-value]
    except (HydraException, OmegaConfBaseException) as error:
        raise OptionError(f"{script}.py: {str(error).strip().splitlines()[0]}") from error


def _take(options: dict[str, Any], dotted: str) -> Any:
    *groups, last = dotted.split(".")
    for group in groups:
        options = options.get(group) or {}
    return options.pop(last, None)


def _paths(value: Any) -> Iterable[str]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _paths(one)
    elif value is not None:
        yield str(value)


def _path_id(text: str) -> str:
    """Of a path that is not there the path itself: train.py says what is missing."""
    path = ROOT / Path(text).expanduser()
    return listing(path) if path.is_dir() else file_digest(path) if path.is_file() else text
