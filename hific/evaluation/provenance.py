"""Where numbers come from: the commit, the device and the libraries that made them."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("hific", "torch", "numpy", "pillow", "constriction", "torchmetrics", "piq", "lpips", "torch-fidelity")


@dataclass(frozen=True)
class Provenance:
    """`config`: what was asked for, as JSON, free of paths; the others as `find_provenance` finds them."""

    commit: str = ""
    device: str = ""
    libraries: str = ""
    config: str = ""


def find_provenance(*, device: str = "cpu", config: str = "") -> Provenance:
    """Of the running code. `device`: where networks run, "cpu" or torch's name of another."""
    return Provenance(find_commit(), describe_device(device), _library_versions(), config)


def find_commit() -> str:
    """The commit that this file is checked out from, with "+changes" where tracked files differ; else "unknown"."""
    here = Path(__file__).resolve()
    if _git("ls-files", "--error-unmatch", here.name, folder=here.parent) is None:
        return "unknown"  # an installed copy may lie inside some other repository
    commit = _git("rev-parse", "--short=12", "HEAD", folder=here.parent)
    changes = _git("status", "--porcelain", "--untracked-files=no", folder=here.parent)
    return "unknown" if commit is None else commit + ("+changes" if changes else "")


def describe_device(device: str) -> str:
    """Such as "x86_64, Linux" or the name of the GPU."""
    if device == "cpu":
        return f"{platform.machine()}, {platform.system()}"
    import torch

    return str(torch.cuda.get_device_name(device)) if torch.device(device).type == "cuda" else device


def _git(*arguments: str, folder: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _library_versions() -> str:
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
