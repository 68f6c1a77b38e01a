"""docs/architecture.svg shows the packages that there are, each above all that it imports."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from test_layering import PACKAGE, files_of, imports_of

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "architecture.svg"
SVG = "{http://www.w3.org/2000/svg}"


def packages() -> set[str]:
    parts = (path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
    return {path.stem for path in parts} - {"__init__"}


def tops() -> dict[str, float]:
    """By name where its box begins, from above."""
    boxes = ElementTree.parse(PICTURE).iter(f"{SVG}g")
    return {one.get("data-name", ""): float(one.find(f"{SVG}rect").get("y")) for one in boxes}  # type: ignore[union-attr,arg-type]


def test_the_picture_has_every_package() -> None:
    assert packages() | {"train.py", "evaluate.py", "experiments"} == tops().keys()


def test_a_package_stands_above_all_that_it_imports() -> None:
    top = tops()
    for package in packages():
        files = files_of(package) if (PACKAGE / package).is_dir() else [PACKAGE / f"{package}.py"]
        imported = {name.split(".")[1] for file in files for name in imports_of(file) if name.startswith("hific.")}
        for other in imported & packages() - {package}:
            assert top[package] < top[other], f"{package} imports {other}"


def test_its_description_names_every_package() -> None:
    """For those who hear it."""
    told = ElementTree.parse(PICTURE).find(f"{SVG}desc")
    assert told is not None and told.text is not None
    words = told.text.replace(",", " ").replace(".", " ").replace(":", " ").replace(";", " ").split()
    assert packages() - {"cli"} <= set(words)
