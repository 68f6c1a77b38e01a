"""JPEG XL, in process by imagecodecs (extra `jxl`), or by `cjxl` and `djxl` where they are on PATH.

A raw codestream, searched by distance: settings are geometric steps from 25, the coarsest that libjxl knows, to .1.
Below the rate that it reaches so the image is coded smaller, as in `pillow_codecs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from types import ModuleType

import numpy as np
from PIL import Image

from hific.codecs.base import ImageLike, as_rgb8
from hific.codecs.pillow_codecs import SCALES, as_png, downscale, upscale
from hific.programs import convert_file, find_programs, version_of

STEPS = 128
COARSEST, FINEST = 25.0, 0.1
EFFORT = 8
"""Of 1 to 9: from 8 on the encoder searches by Butteraugli itself."""


def distance_of(setting: int) -> float:
    """Of step 0..STEPS - 1, from the coarsest."""
    return float(round(COARSEST * (FINEST / COARSEST) ** (setting / (STEPS - 1)), 4))


def find_library() -> ModuleType | None:
    """imagecodecs, where it has JPEG XL."""
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs if imagecodecs.JPEGXL.available else None


def encoder_and_decoder() -> tuple[str, ...]:
    """OptionError where they are not there."""
    needed = "codec jxl needs pip install 'hific[jxl]', or cjxl and djxl on PATH; or leave it out"
    return find_programs("cjxl", "djxl", otherwise=needed)


@dataclass(frozen=True)
class JxlCodec:
    """One step at one scale. Raises ValueError for one that it does not have."""

    step: int
    scale: int = 1
    effort: int = EFFORT

    name = "jxl"
    extension = ".jxl"

    def __post_init__(self) -> None:
        if not 0 <= self.step < STEPS or not 1 <= self.scale <= 16 or not 1 <= self.effort <= 9:
            raise ValueError(f"jxl: step {self.step} is 0 to {STEPS - 1}, scale {self.scale} 1 to 16, effort 1 to 9")

    @property
    def setting(self) -> str:
        smaller = f", 1/{self.scale} size (Lanczos)" if self.scale > 1 else ""
        return f"distance {distance_of(self.step):g}, effort {self.effort}{smaller}"

    def compress(self, image: ImageLike) -> bytes:
        pixels = as_rgb8(image)
        small, size_byte = downscale(Image.fromarray(pixels), self.scale)
        library, distance = find_library(), distance_of(self.step)
        if library is not None:
            options = {"distance": distance, "effort": self.effort, "usecontainer": False, "numthreads": 1}
            return bytes(library.jpegxl_encode(np.asarray(small), **options)) + size_byte
        options_of_program = ["-d", str(distance), "-e", str(self.effort), "--num_threads=0", "--container=0"]
        command = [encoder_and_decoder()[0], "image.png", "image.jxl", *options_of_program, "--quiet"]
        return convert_file(command, as_png(small), "image.png", "image.jxl") + size_byte

    def decompress(self, data: bytes) -> Image.Image:
        """Raises ValueError or RuntimeError on what is no such file."""
        body = data if self.scale == 1 else data[:-1]
        library = find_library()
        if library is not None:
            small = Image.fromarray(library.jpegxl_decode(body, numthreads=1)).convert("RGB")
        else:
            command = [encoder_and_decoder()[1], "image.jxl", "image.png"]
            small = Image.open(BytesIO(convert_file(command, body, "image.jxl", "image.png"))).convert("RGB")
        return small if self.scale == 1 else upscale(small, self.scale, data[-1])


@dataclass(frozen=True)
class JxlFamily:
    """JPEG XL with its distances, from the coarsest."""

    scales: Sequence[int] = SCALES
    effort: int = EFFORT

    name = "jxl"

    @property
    def settings(self) -> range:
        return range(STEPS)

    @property
    def version(self) -> str:
        library = find_library()
        if library is not None:
            return f"{library.jpegxl_version()}, imagecodecs {library.__version__}"
        return f"cjxl {version_of(encoder_and_decoder()[0], '--version')}"

    def codec(self, setting: int, scale: int) -> JxlCodec:
        return JxlCodec(setting, scale, self.effort)
