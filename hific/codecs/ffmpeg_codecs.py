"""HEVC and VVC as intra pictures, by an ffmpeg program, behind the same two calls as the other codecs.

    image [H, W, 3] ─ padded to even sides, 64 up ─ YCbCr 4:2:0, BT.709, full range ─ encoder ─ raw stream + 2 bytes

The two bytes say how much was padded. What the stream leaves out (primaries, range) is this module's to know, as in any
codec; no container is counted. HEVC is x265 at its slowest: "BPG-equivalent", and not BPG. VVC is vvenc at `slow`.
ffmpeg is that of the package imageio-ffmpeg (extra `codecs`), or the one on PATH, where it has the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

from hific.codecs.base import ImageLike, as_rgb8
from hific.errors import OptionError
from hific.programs import ProgramError, find_ffmpeg, run_program, version_of

Name = Literal["hevc", "vvc"]
SMALLEST = 64
_TO_YUV = "scale=out_color_matrix=bt709:out_range=full:flags=lanczos+accurate_rnd+full_chroma_inp,format="
_TO_RGB = "scale=in_color_matrix=bt709:in_range=full:flags=lanczos+accurate_rnd+full_chroma_int,format=rgb24"


@dataclass(frozen=True)
class _Format:
    encoder: str
    pixels: str
    largest_qp: int
    title: str
    options: tuple[str, ...]


_X265 = "keyint=1:info=0:repeat-headers=0:log-level=none:frame-threads=1:pools=1"
_FORMATS: dict[Name, _Format] = {
    "hevc": _Format("libx265", "yuv420p", 51, "x265 veryslow, intra", ("-preset", "veryslow", "-x265-params", _X265)),
    # Ten bits are its native depth. Its perceptual adaptation of qp (qpa, on by default) costs .5 dB at equal bytes.
    "vvc": _Format(
        "libvvenc", "yuv420p10le", 63, "vvenc slow, intra, qpa 0", ("-preset", "slow", "-qpa", "0", "-threads", "1")
    ),
}


def find_encoder(name: Name) -> str:
    """The path of a program with the encoder. OptionError where there is none, which says how to get one."""
    encoder = _FORMATS[name].encoder
    program = find_ffmpeg("-encoders", encoder)
    if program is None:
        raise OptionError(f"codec {name} needs an ffmpeg with {encoder}: pip install 'hific[codecs]', or leave it out")
    return program


@dataclass(frozen=True)
class FFmpegCodec:
    """One format at one quantization parameter. Raises ValueError for one that it does not have."""

    name: Name
    qp: int
    scale: int = 1

    def __post_init__(self) -> None:
        if self.name not in _FORMATS:
            raise ValueError(f"no codec {self.name!r}: one of {', '.join(_FORMATS)}")
        if not 0 <= self.qp <= _FORMATS[self.name].largest_qp or self.scale != 1:
            raise ValueError(f"{self.name}: qp {self.qp} is 0 to {_FORMATS[self.name].largest_qp}, scale 1")

    @property
    def setting(self) -> str:
        return f"qp {self.qp}"

    @property
    def extension(self) -> str:
        return f".{self.name}"

    def compress(self, image: ImageLike) -> bytes:
        pixels = as_rgb8(image)
        height, width = pixels.shape[:2]
        padding = [max(SMALLEST, side + side % 2) - side for side in (height, width)]
        padded = np.pad(pixels, ((0, padding[0]), (0, padding[1]), (0, 0)), mode="edge")
        size = f"{padded.shape[1]}x{padded.shape[0]}"
        form = _FORMATS[self.name]
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-i", "-", "-vf", _TO_YUV + form.pixels]
        qp = [f"{option}:qp={self.qp}" if option == _X265 else option for option in form.options]
        coded = [*qp, *(["-qp", str(self.qp)] if self.name == "vvc" else [])]
        sink = ["-c:v", form.encoder, *coded, "-frames:v", "1", "-f", self.name, "-"]
        return self._run([*source, *sink], padded.tobytes()) + bytes(padding)

    def decompress(self, data: bytes) -> Image.Image:
        """Raises ValueError on what is no such stream."""
        stream, (down, across) = data[:-2], data[-2:]
        sink = ["-vf", _TO_RGB, "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"]
        picture = Image.open(BytesIO(self._run(["-f", self.name, "-i", "-", *sink], stream)))
        return picture.crop((0, 0, picture.width - across, picture.height - down))

    def _run(self, arguments: Sequence[str], given: bytes) -> bytes:
        command = [find_encoder(self.name), "-hide_banner", "-loglevel", "error", *arguments]
        title = f"{self.name}: ffmpeg"
        output = run_program(command, given, title=title)
        if not output:
            raise ProgramError(f"{title} failed (without a word)")
        return output


@dataclass(frozen=True)
class FFmpegFamily:
    """A format with its quantization parameters, from the coarsest."""

    name: Name
    scales: Sequence[int] = (1,)

    @property
    def settings(self) -> range:
        return range(_FORMATS[self.name].largest_qp, -1, -1)

    @property
    def version(self) -> str:
        ffmpeg = version_of(find_encoder(self.name), "-version")
        return f"{_FORMATS[self.name].title}, ffmpeg {ffmpeg}"

    def codec(self, setting: int, scale: int) -> FFmpegCodec:
        return FFmpegCodec(self.name, setting, scale)
