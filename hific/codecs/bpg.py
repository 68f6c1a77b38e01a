"""BPG by its own programs `bpgenc` and `bpgdec`, where they are on PATH; elsewhere `hevc` is "BPG-equivalent"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal, get_args

from PIL import Image

from hific.codecs.base import ImageLike, as_rgb8
from hific.codecs.pillow_codecs import as_png
from hific.programs import convert_file, find_programs, version_of

Chroma = Literal["420", "422", "444"]
LARGEST_QP = 51
LEVEL = "9"
"""The slowest of its encoder."""


def encoder_and_decoder() -> tuple[str, ...]:
    """OptionError where they are not there."""
    needed = "codec bpg needs bpgenc and bpgdec (libbpg) on PATH: take hevc for it, or leave it out"
    return find_programs("bpgenc", "bpgdec", otherwise=needed)


@dataclass(frozen=True)
class BpgCodec:
    """One quantization parameter. Raises ValueError for one that it does not have."""

    qp: int
    scale: int = 1
    chroma: Chroma = "444"

    name = "bpg"
    extension = ".bpg"

    def __post_init__(self) -> None:
        if not 0 <= self.qp <= LARGEST_QP or self.scale != 1 or self.chroma not in get_args(Chroma):
            raise ValueError(f"bpg: qp {self.qp} is 0 to {LARGEST_QP}, scale 1, chroma {self.chroma} of 420, 422, 444")

    @property
    def setting(self) -> str:
        return f"qp {self.qp}, {self.chroma}"

    def compress(self, image: ImageLike) -> bytes:
        pixels = as_rgb8(image)
        options = ["-m", LEVEL, "-f", self.chroma, "-q", str(self.qp)]
        command = [encoder_and_decoder()[0], *options, "-o", "image.bpg", "image.png"]
        return convert_file(command, as_png(Image.fromarray(pixels)), "image.png", "image.bpg")

    def decompress(self, data: bytes) -> Image.Image:
        """Raises ValueError on what is no such file."""
        command = [encoder_and_decoder()[1], "-o", "image.png", "image.bpg"]
        return Image.open(BytesIO(convert_file(command, data, "image.bpg", "image.png"))).convert("RGB")


@dataclass(frozen=True)
class BpgFamily:
    """BPG with its quantization parameters, from the coarsest."""

    scales: Sequence[int] = (1,)
    chroma: Chroma = "444"

    name = "bpg"

    @property
    def settings(self) -> range:
        return range(LARGEST_QP, -1, -1)

    @property
    def version(self) -> str:
        return f"bpgenc {version_of(encoder_and_decoder()[0], '-h')}"

    def codec(self, setting: int, scale: int) -> BpgCodec:
        return BpgCodec(setting, scale, self.chroma)
