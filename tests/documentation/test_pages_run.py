"""Every fenced block of the site's pages is run, in a folder as a newcomer has it, or says in its first line why not.

A page's blocks run in their order, in one folder: shell by bash, Python as a script. Commands are as they stand; that
they take seconds in place of hours is `smaller.py`'s doing. `make` looks its targets up, and runs nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from photos import photo
from PIL import Image

from docs.build import LINK, BrokenLinkError, page_text, pages, stage
from experiments.pages.site import ROOT

# Pages whose blocks are run by other tests, all of them.
RUN_ELSEWHERE = {"CONTRIBUTING.md": "tests/test_guides.py", "docs/file_format.md": "documentation/test_file_format.py"}
RUN, SHOWN = ("bash", "python"), ("text", "yaml")
# Written by rows; commands of studies stand indented there, and are planned by a test below.
GENERATED = ("docs/claims.md", "docs/studies.md")
NOT_RUN = re.compile(r"# not run by the tests: \S.*\S")
FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^ {4,}(?:python|hific|make|pip|\S*/hific|\S*/python) .*$", re.M)
CHECKOUT = (
    *("hific", "conf", "experiments", "docs"),
    *("train.py", "evaluate.py", "Makefile", "pyproject.toml", "constraints.txt"),
)
PAGES = [path.as_posix() for path in pages() if (ROOT / path).is_file()]


@dataclass(frozen=True)
class Code:
    language: str
    text: str

    @property
    def is_run(self) -> bool:
        return self.language in RUN and not NOT_RUN.match(self.text)


def blocks_of(page: str) -> Iterator[Code]:
    for found in FENCE.finditer((ROOT / page).read_text()):
        yield Code(found["language"], found["text"])


def run_pages() -> list[str]:
    return [page for page in PAGES if page not in RUN_ELSEWHERE and any(one.is_run for one in blocks_of(page))]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_shown_or_says_why_not(page: str) -> None:
    for code in blocks_of(page):
        assert code.language in (*RUN, *SHOWN), f"{page}: a block of {code.language or 'no language'}: {code.text[:60]}"
        if "not run" in code.text:
            assert NOT_RUN.match(code.text) and code.language in RUN, code.text
    if (page.startswith("docs/") and page not in GENERATED) or page == "README.md":
        text = FENCE.sub("", (ROOT / page).read_text())
        assert not COMMAND.findall(text), "a command that is no block of bash is not run"


def test_blocks_that_other_tests_run_are_there() -> None:
    for page, test in RUN_ELSEWHERE.items():
        assert any(one.is_run for one in blocks_of(page)) and (ROOT / "tests" / test.removeprefix("tests/")).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_addresses_are_whole(page: str) -> None:
    """Of other hosts: by their syntax alone, as tests need no network."""
    for found in LINK.finditer((ROOT / page).read_text()):
        address = urlsplit(found["target"])
        if address.scheme:
            assert address.scheme in ("https", "mailto") and "." in address.netloc, found["target"]


def test_every_link_into_the_repository_leads_somewhere(tmp_path: Path) -> None:
    stage(tmp_path / "source")
    staged = {path.relative_to(tmp_path / "source") for path in (tmp_path / "source").rglob("*.md")}
    assert set(pages()) <= staged


def test_a_link_to_a_file_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "# A page\n\n[that](results/gone.csv), [this](measure.md), `[not](a/link.md)`\n"
    monkeypatch.setattr("docs.build.page_text", lambda path: broken if path.name == "install.md" else page_text(path))
    with pytest.raises(BrokenLinkError, match=r"^docs/install.md: there is no docs/results/gone.csv$"):
        stage(tmp_path / "source")


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A checkout after `make demo`, with photos."""
    for name in CHECKOUT:
        (tmp_path / name).symlink_to(ROOT / name)
    for split in ("train", "val", "test"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for place in range(1 + 3 * (split == "train")):
            Image.fromarray(photo(288, 272, seed=place)).save(tmp_path / "photos" / split / f"{place}.png")
    (tmp_path / "kodak").mkdir()
    for number in range(1, 25):
        Image.fromarray(photo(80, 64, seed=number)).save(tmp_path / "kodak" / f"kodim{number:02d}.png")
    for folder in ("back", "weights"):
        (tmp_path / folder).mkdir()
    Image.fromarray(photo(150, 100)).save(tmp_path / "photo.jpg", quality=95)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    smaller = Path(__file__).with_name("smaller.py")
    for name, command in (
        ("python", f'"{sys.executable}" "{smaller}"'),
        ("hific", f'"{sys.executable}" "{smaller}" -m hific.cli'),
        ("make", f'"{shutil.which("make")}" --dry-run'),
    ):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    return tmp_path


def run(code: Code, folder: Path) -> None:
    programs = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": programs, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HIFIC_WEIGHTS": "", "HIFIC_CACHE": ""}
    script = code.text if code.language == "bash" else f"exec python - <<'END_OF_BLOCK'\n{code.text}END_OF_BLOCK"
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{code.text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("page", run_pages())
def test_a_page_runs_as_it_stands(page: str, newcomer: Path) -> None:
    for code in blocks_of(page):
        if code.is_run:
            run(code, newcomer)


@pytest.mark.slow
def test_commands_of_studies_can_be_planned(newcomer: Path) -> None:
    """Those of docs/claims.md, which are of the studies' pages."""
    commands = re.findall(r"^ {4}(python -m experiments .*)$", (ROOT / "docs" / "claims.md").read_text(), re.M)
    assert len(commands) > 5
    for folder in ("bsds500/train", "bsds500/test"):
        shutil.copytree(newcomer / "photos" / "train", newcomer / folder)
    run(Code("bash", "\n".join(commands)), newcomer)
