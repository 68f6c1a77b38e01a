"""Several codecs as one: a rate is chosen when compressing, the model that made a file when decompressing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from hific.codecs.base import ImageLike, as_rgb8
from hific.codecs.learned_codec import LearnedCodec
from hific.coding.container import unpack
from hific.errors import NoFileFitsError, WrongModelError


class Compressed(NamedTuple):
    """A file, and the codec that made it."""

    data: bytes
    codec: LearnedCodec


class CodecSet:
    """Codecs of any models and rates, such as the checkpoints of one model trained for .14, .30 and .45 bpp."""

    def __init__(self, codecs: Sequence[LearnedCodec]) -> None:
        if not codecs:
            raise ValueError("a set of codecs has one or more")
        self.codecs = tuple(codecs)

    def compress_within(self, image: ImageLike, max_bytes: int) -> Compressed:
        """The largest file of at most `max_bytes`; of equal ones, the earlier codec's.

        No size is known before coding, so that each codec that `check_size` gives codes the image: it takes as long as
        all of them together. Raises NoFileFitsError, and as `check_size`.
        """
        pixels = as_rgb8(image)
        height, width = pixels.shape[:2]
        best: Compressed | None = None
        sizes = []
        for codec in self.check_size(width, height):
            data = codec.compress(pixels)
            sizes.append(len(data))
            if len(data) <= max_bytes and (best is None or len(data) > len(best.data)):
                best = Compressed(data, codec)
        if best is None:
            raise NoFileFitsError(max_bytes, min(sizes), width * height)
        return best

    def decompress(self, data: bytes) -> Image.Image:
        """By the codec that made the file. Raises as `codec_of`, and as that codec's `decompress`."""
        return self.codec_of(data).decompress(data)

    def codec_of(self, data: bytes) -> LearnedCodec:
        """The codec that made a file. Raises WrongModelError where it is none of these, and a BitstreamError for what
        is no file, or a damaged one.
        """
        header = unpack(bytes(data), max_pixels=max(codec.max_pixels for codec in self.codecs)).header
        for codec in self.codecs:
            if codec.fingerprint == header.fingerprint:
                return codec
        loaded = ", ".join(f"{codec.fingerprint.hex()} ({codec.name})" for codec in self.codecs)
        raise WrongModelError(
            f"the file was made by {header.codec} model {header.fingerprint.hex()}, loaded "
            f"{'are' if len(self.codecs) > 1 else 'is'} {loaded}: load the checkpoint that made it"
        )

    def check_size(self, width: int, height: int) -> list[LearnedCodec]:
        """The codecs whose pixel limit allows such an image. Raises TooLargeError where there is none, or one of them
        would take more memory than there is: which codec is taken must not depend on what else runs.
        """
        allowing = [codec for codec in self.codecs if codec.allows(width, height)]
        for codec in allowing or [max(self.codecs, key=lambda codec: codec.max_pixels)]:
            codec.check_size(width, height)
        return allowing
