"""The row that everything else is made of: one image, coded by one system at one setting, and what was measured."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
    return Provenance(find_commit(), describe_device(device), library_versions(), config)


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


def library_versions() -> str:
    """Of those that numbers follow from."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


WHOLE_SET = "(all)"
"""The `image` of a row that measures a set as one, such as FID."""


@dataclass(frozen=True)
class Measurement:
    """One row. Equal `system` is one line of a table: a checkpoint and its coding, or a classical codec at its limits.

    Args:
        system: unique label in tables, such as "sae_spn, context" or "jpeg".
        codec, setting: as the codec says; a rate search gives each image a setting of its own.
        image: the name of the file without its suffix, or WHOLE_SET.
        num_pixels: unpadded.
        num_bytes: of the whole file, header included.
        metrics: on the decoded 8-bit image.
        absent: for each metric that could not be computed, why; a name is in one of the two.
        max_bytes: the limit of a rate search, None without one.
        scale: the image was coded at 1/scale of its width and height.
        preprocessing: of the image before it became the reference, such as "CLAHE".
        note: what a reader must know beside the numbers, such as "not decodable at these bytes".
        num_images: 1, or the size of the set.
    """

    system: str
    codec: str
    setting: str
    image: str
    width: int
    height: int
    num_pixels: int
    num_bytes: int
    metrics: Mapping[str, float]
    absent: Mapping[str, str] = field(default_factory=dict)
    encode_seconds: float | None = None
    decode_seconds: float | None = None
    max_bytes: int | None = None
    scale: int = 1
    preprocessing: str = ""
    note: str = ""
    num_images: int = 1
    codec_version: str = ""
    fingerprint: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if self.num_pixels < 1 or self.num_bytes < 0 or self.scale < 1:
            raise ValueError(
                f"{self.system}, {self.image}: no measurement of {self.num_pixels} pixels, {self.num_bytes} bytes"
            )
        if both := sorted(set(self.metrics) & set(self.absent)):
            raise ValueError(f"{self.system}, {self.image}: {', '.join(both)} both measured and absent")

    @property
    def bpp(self) -> float:
        """Bits of the file per unpadded pixel."""
        return 8 * self.num_bytes / self.num_pixels

    @property
    def is_set(self) -> bool:
        return self.image == WHOLE_SET


def systems(rows: Iterable[Measurement]) -> list[str]:
    """The labels in the order of their first row."""
    return list(dict.fromkeys(row.system for row in rows))


def byte_limits(rows: Iterable[Measurement], system: str) -> dict[str, int]:
    """Image name to the bytes that `system` needed: what a classical codec may use. ValueError if it has no rows."""
    limits = {row.image: row.num_bytes for row in rows if row.system == system and not row.is_set}
    if not limits:
        raise ValueError(f"no measurements of {system!r} to match bytes to")
    return limits
