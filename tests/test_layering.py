"""The house's directions: which package may import which (README, section Layout)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "hific"
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "ops": set(),
    "cores": set(),
    "coding": {"cores"},
    "zoo": set(),
    "programs": set(),
    "io": {"ops", "zoo"},
    "weights": {"ops"},
    "layers": {"ops", "io"},
    "data": {"cores", "ops", "io"},
    "metrics": {"ops", "programs", "weights"},
    "networks": {"layers", "ops"},
    "context": {"coding"},
    "latent_coders": {"context", "coding"},
    "entropy": {"ops", "coding"},
    "models": {"networks", "layers", "entropy", "ops"},
    "losses": {"ops", "weights"},
    "postfilter": {"coding", "ops"},
    "codecs": {"models", "networks", "entropy", "latent_coders", "postfilter", "coding", "io", "ops", "programs"}
    | {"zoo"},
    "fitting": {"codecs", "models", "entropy", "latent_coders", "context", "postfilter", "coding", "data", "ops"},
    "training": {"models", "losses", "fitting", "metrics", "codecs", "data", "io", "ops", "weights"},
    "study": {"evaluation", "io"},
    "evaluation": {"cores", "codecs", "coding", "metrics", "data", "io", "ops", "programs", "weights"},
}


def imports_of(path: Path) -> list[str]:
    """Modules that a file imports anywhere, also inside functions."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def files_of(part: str) -> list[Path]:
    path = PACKAGE / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_package_imports_only_what_it_may(package: str) -> None:
    files = files_of(package) if (PACKAGE / package).is_dir() else [PACKAGE / f"{package}.py"]
    if not any(file.exists() for file in files):
        pytest.skip(f"hific/{package} does not exist yet")
    allowed = ALLOWED[package] | {package, "errors"}
    for file in files:
        for module in imports_of(file):
            if module.startswith("hific."):
                inner = module.removeprefix("hific.")
                assert any(inner == a or inner.startswith(f"{a}.") for a in allowed) or any(
                    a.startswith(f"{inner}.") for a in allowed
                ), f"{file.relative_to(PACKAGE)} imports {module}"


@pytest.mark.parametrize("part", ["hydra", "omegaconf"])
def test_only_the_entry_points_know_hydra(part: str) -> None:
    """And `cli`, which serves them."""
    for file in set(PACKAGE.rglob("*.py")) - set((PACKAGE / "cli").rglob("*.py")):
        assert not any(module.split(".")[0] == part for module in imports_of(file)), file


@pytest.mark.parametrize(
    "module",
    [
        "hific",
        "hific.cli",
        "hific.coding.container",
        "hific.context",
        "hific.latent_coders.context_coded",
        "hific.fitting.context_model",
        "hific.codecs.base",
        "hific.study.serve",
    ],
)
def test_starts_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_are_not_long() -> None:
    for file in PACKAGE.rglob("*.py"):
        lines = len(file.read_text().splitlines())
        assert lines <= 300, f"{file.relative_to(PACKAGE)} has {lines} lines: it is two files"
