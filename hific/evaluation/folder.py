"""The folder of one evaluation: files of every system, and the reconstructions that a panel is drawn from.

    files/<system>/<image>.hfc ...
    reconstructions/<system>/<image>.png, reconstructions/original/<image>.png

Labels of systems become folder names by `slug`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from hific.evaluation.codecs_under_test import Pixels
from hific.io.write_whole import write_whole

ORIGINAL = "original"


def slug(label: str) -> str:
    """A label as a folder name: "sae_spn, context" becomes "sae_spn-context"."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", label).strip("-.") or "_"


@dataclass(frozen=True)
class EvaluationFolder:
    """`keep`: names of the images whose reconstructions are kept; files are kept of all."""

    root: Path
    keep: Collection[str] = ()

    def put(self, system: str, image: str, extension: str, data: bytes) -> bytes:
        path = self.root / "files" / slug(system) / f"{image}{extension}"
        write_whole(path, data)
        return path.read_bytes()

    def put_reconstruction(self, system: str, image: str, pixels: Pixels) -> None:
        if image in self.keep:
            buffer = BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            write_whole(self.reconstruction_path(system, image), buffer.getvalue())

    def reconstruction_path(self, system: str, image: str) -> Path:
        return self.root / "reconstructions" / slug(system) / f"{image}.png"

    def read_reconstruction(self, system: str, image: str) -> Pixels:
        """`system` may be ORIGINAL."""
        with Image.open(self.reconstruction_path(system, image)) as opened:
            return np.asarray(opened.convert("RGB"))
