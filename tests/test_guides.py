"""CONTRIBUTING.md, run as it stands: each guide's files go into a copy of the suite, its commands run there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
# The files that an addition touches, at most.
MOST_FILES = {
    "A context model": 3,
    "A data set": 2,
    "A metric": 2,
    "A classical codec": 2,
    "A model family": 8,
}
FENCED = re.compile(r"(?:^`(?P<path>[^`\n]+)`\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Guide:
    """files: (path, text) in the order of the guide; commands: lines of its shell blocks."""

    files: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]


def read_guides() -> dict[str, Guide]:
    sections = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)[1:]
    guides = {}
    for section in sections:
        blocks = list(FENCED.finditer(section))
        files = tuple((block["path"], block["text"]) for block in blocks if block["path"])
        commands = tuple(line for block in blocks if block["language"] == "bash" for line in block["text"].splitlines())
        guides[section.splitlines()[0]] = Guide(files, commands)
    return guides


GUIDES = read_guides()


def write(path: Path, text: str) -> None:
    """A new file; or the lines marked `+`, each behind the line before it."""
    if not path.exists():
        path.write_text(text)
        return
    lines, anchor = path.read_text().splitlines(), ""
    for line in text.splitlines():
        if not line.startswith("+"):
            anchor = line
            continue
        assert lines.count(anchor) == 1, f"{path}: {anchor!r} is there {lines.count(anchor)} times"
        lines.insert(lines.index(anchor) + 1, line[1:])
        anchor = line[1:]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A copy of the suite, with photos of three years."""
    for folder in ("hific", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for script in ("train.py", "evaluate.py"):
        shutil.copy(ROOT / script, tmp_path)
    rng = np.random.default_rng(0)
    for year in ("2023", "2024", "2025"):
        (tmp_path / "photos" / year).mkdir(parents=True)
        pixels = np.kron(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
        Image.fromarray(pixels).save(tmp_path / "photos" / year / "a.png")
    return tmp_path


def test_every_guide_keeps_to_its_number_of_files() -> None:
    assert GUIDES.keys() == MOST_FILES.keys()
    for name, most in MOST_FILES.items():
        paths = {path for path, _ in GUIDES[name].files}
        assert 0 < len(paths) <= most and len(paths) == len(GUIDES[name].files), name


@pytest.mark.parametrize("name", MOST_FILES)
def test_a_guide_works_as_it_stands(name: str, suite: Path) -> None:
    for path, text in GUIDES[name].files:
        write(suite / path, text)
    assert GUIDES[name].commands
    photo = str(suite / "photos" / "2025" / "a.png")
    environment = {**os.environ, "PYTHONPATH": str(suite), "OMP_NUM_THREADS": "1", "HIFIC_WEIGHTS": ""}
    for command in GUIDES[name].commands:
        program, *words = (photo if word == "PHOTO" else word for word in shlex.split(command))
        words = [word.replace("=PHOTOS", f"={suite / 'photos'}") for word in words]
        words = {"python": [sys.executable], "hific": [sys.executable, "-m", "hific.cli"]}[program] + words
        if "train.py" in words:  # without what takes long
            words += ["data.num_workers=0", "callbacks.tables.num_photos=2"]
            words += ["recipe.initialization=klt"] if "model=hific" in words else []
        done = subprocess.run(words, cwd=suite, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
