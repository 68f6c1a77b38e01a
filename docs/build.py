"""The documentation site: `make docs`, or python docs/build.py [FOLDER] (outputs/docs where none is named).

Pages are Markdown files of the whole repository, wherever they belong: those that the navigation of `zensical.toml`
names. They are staged with their places in the repository, so that links between them are the same in a checkout and on
the site, and with every other file that they link to. The pages of docs/api are written from docstrings.

A link to a file that is not there ends it, here; one to a page or an anchor that is not there, in Zensical.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "docs" / "zensical.toml"
DRAWINGS = ROOT / "docs" / "drawings.py"
API = Path("docs/api")
# What the configuration names besides pages.
LOOK = (Path("docs/site/site.css"), Path("docs/site/scrolled.js"), Path("docs/site/iframe-worker.js"))
# ![text](target) and [text](target), the target up to an anchor.
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
CODE = re.compile(r"^```.*?^```$|^ {4,}\S.*?$|`[^`\n]*`", re.M | re.S)


class BrokenLinkError(Exception):
    """Every one of them, a line each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?", default=ROOT / "outputs" / "docs", help="default: %(default)s")
    output = parser.parse_args().output.resolve()
    try:
        build(output)
    except BrokenLinkError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"zensical ended with {error.returncode}: see above", file=sys.stderr)
        return 1
    print(f"{output / 'site' / 'index.html'}")
    return 0


def build(output: Path) -> None:
    """output/site, of output/source. BrokenLinkError; CalledProcessError where Zensical finds something to warn of."""
    shutil.rmtree(output, ignore_errors=True)
    stage(output / "source")
    text = CONFIG.read_text().replace('paths = [".."]', f'paths = ["{ROOT.as_posix()}"]')
    (output / CONFIG.name).write_text(text)
    shutil.copyfile(DRAWINGS, output / DRAWINGS.name)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    subprocess.run([*command, "--config-file", CONFIG.name], cwd=output, check=True)


def stage(folder: Path) -> None:
    """Pages and what they link to, below `folder`. BrokenLinkError."""
    due, staged, broken = [*pages(), *LOOK], set[Path](), list[str]()
    while due:
        path = due.pop()
        if path in staged:
            continue
        staged.add(path)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(ROOT / path, target)
            continue
        text, linked = with_folders_as_pages(path, page_text(path))
        broken += [f"{path}: there is no {one}" for one in linked if not is_page(one) and not (ROOT / one).exists()]
        due += [one for one in linked if is_page(one) or (ROOT / one).is_file()]
        target.write_text(text)
    if broken:
        raise BrokenLinkError("\n".join(broken))


def pages() -> Iterator[Path]:
    """From the repository's root, in the order of the navigation."""

    def of(entries: list[Any]) -> Iterator[Path]:
        for entry in entries:
            (content,) = entry.values() if isinstance(entry, Mapping) else (entry,)
            if isinstance(content, str):
                yield Path(content)
            else:
                yield from of(content)

    yield from of(tomllib.loads(CONFIG.read_text())["project"]["nav"])


def is_page(path: Path) -> bool:
    """Of those that are written here."""
    return path.parent == API or path.name == "index.md"


def page_text(path: Path) -> str:
    if path.parent == API:
        return api_page(path.stem)
    if path.name == "index.md":
        return listing(path.parent)
    return (ROOT / path).read_text()


def with_folders_as_pages(path: Path, text: str) -> tuple[str, list[Path]]:
    """The text with links to folders as links to their pages, and all that it links to in the repository."""
    linked = []
    masked = CODE.sub(lambda found: " " * len(found[0]), text)
    for found in reversed(list(LINK.finditer(masked))):
        target = found["target"]
        if urlsplit(target).scheme:
            continue
        there = (ROOT / path.parent / target).resolve().relative_to(ROOT)
        if (ROOT / there).is_dir() and there != API:
            name = "README.md" if (ROOT / there / "README.md").is_file() else "index.md"
            there, target = there / name, f"{target.rstrip('/')}/{name}"
            text = text[: found.start("target")] + target + text[found.end("target") :]
        linked.append(there)
    return text, linked


def listing(folder: Path) -> str:
    """Of a folder that a page links to."""
    files = sorted(path for path in (ROOT / folder).iterdir() if path.suffix in (".md", ".yaml", ".py"))
    return f"# {folder}\n\n" + "".join(f"* [{path.name}]({path.name})\n" for path in files)


def api_page(package: str) -> str:
    """Of a package of hific, or a module, with all modules in it."""
    place = ROOT / "hific" / package
    if place.is_dir():
        modules = sorted(path.relative_to(ROOT).with_suffix("") for path in place.rglob("*.py"))
    else:
        modules = [place.relative_to(ROOT)]
    names = [".".join(path.parts) for path in modules if path.name not in ("__main__", "__init__")]
    own = f"# hific.{package}\n\n"
    if place.is_dir():
        own += f"::: hific.{package}\n    options:\n      show_root_heading: false\n      members: false\n\n"
    return own + "\n".join(f"::: {name}\n" for name in names)


if __name__ == "__main__":
    sys.exit(main())
