"""The one codec of every trained model: image to bytes to image.

    image [H, W, 3] ─ pad ─ Transform.analyze ─ latent ─ LatentCoding ─ container ─ bytes
    bytes ─ container ─ LatentCoding ─ latent_hat ─ Transform.synthesize ─ crop ─┬──────────────── image [H, W, 3]
                                          where there is a post-filter, by tiles: └─ corrected ─┘

Only integers steer the coder, so a file's symbols are the same on every machine, and its stream does not depend on the
tiles, threads, precision or device of whoever decodes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from hific.codecs.base import ImageLike, Pixels, as_rgb8
from hific.codecs.families import FAMILIES, CodecOptions
from hific.codecs.family import Family, Identity, PaddedSize, Progress, Variant
from hific.codecs.latent_coding import CodedLatent, LatentCoding, UncodedLatent, holds
from hific.codecs.memory import DEFAULT_MAX_PIXELS, check_pixels
from hific.coding.checked_encoder import CheckedEncoder, SelfCheckError
from hific.coding.container import Header, Unpacked, pack, unpack
from hific.coding.range_coder import RangeDecoder, check_length
from hific.errors import CorruptedError, OptionError, WrongModelError
from hific.postfilter.postfilter import Flags, code_flags


class LearnedCodec:
    """A trained model with its integer tables.

    Args:
        family: the model's.
        model: on any device; it is set to evaluation mode.
        coding: what its checkpoint keeps for it. ValueError where it is for another model.
        identity: who made its files.
        options: the family's. OptionError where the model cannot do what they say.
        progress: told after every tile.
    """

    extension = ".hfc"

    def __init__(
        self,
        family: Family,
        model: Any,
        coding: LatentCoding,
        identity: Identity,
        options: CodecOptions | None = None,
        progress: Progress | None = None,
    ) -> None:
        family.check(model, coding)
        self.family, self.model, self.coding, self.identity = family, model, coding, identity
        self.options = FAMILIES[family.name].options() if options is None else options
        self.progress = progress
        if self.options.coder is not None and self.options.coder not in coding.coders:
            raise OptionError(f"coder={self.options.coder}: {self.name} has {', '.join(coding.coders)}")
        if self.options.post_filter and coding.post_filter is None:
            raise OptionError(f"post_filter=True: {self.name} has no post-filter")
        self.transform = family.transform(model, self.options)

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def fingerprint(self) -> bytes:
        """Four bytes, as headers have them."""
        return self.identity.fingerprint[:4]

    @property
    def training(self) -> Mapping[str, Any]:
        """What its checkpoint says of the run that made it."""
        return self.identity.training

    @property
    def coder(self) -> str:
        """How `compress` codes the latent; `decompress` goes by the file."""
        return self.options.coder or list(self.coding.coders)[-1]

    @property
    def post_filters(self) -> bool:
        """Whether `compress` looks which tiles are closer to the image when they are corrected."""
        return self.coding.post_filter is not None and self.options.post_filter is not False

    @property
    def max_pixels(self) -> int:
        """Limit on the padded size, both ways."""
        return self.options.max_pixels or self.transform.max_pixels

    @property
    def setting(self) -> str:
        parts = [self.coding.coders[self.coder].label, self.options.note, "post-filter" if self.post_filters else ""]
        return ", ".join(part for part in parts if part)

    def __repr__(self) -> str:
        return f"LearnedCodec({self.name}, {self.fingerprint.hex()}, {self.setting})"

    def with_options(self, **changes: Any) -> LearnedCodec:
        """The same model and tables, with other values of its family's options."""
        options = replace(self.options, **changes)
        return LearnedCodec(self.family, self.model, self.coding, self.identity, options, self.progress)

    def variants(self, coders: Sequence[str] | None = None) -> list[Variant]:
        """What its files can be: by each of `coders` (all that there are), then by the last of them with the
        post-filter, then what the family has besides."""
        plain = [self.with_options(coder=coder, post_filter=False) for coder in coders or self.coding.coders]
        found = [Variant(codec, codec.setting) for codec in plain]
        if self.family.extra_metrics is not None:
            of_family, codec = self.family.extra_metrics, plain[-1]
            found[-1] = replace(found[-1], extra_metrics=lambda pixels: of_family(codec, pixels))
        if self.coding.post_filter is not None:
            filtered = plain[-1].with_options(post_filter=True)
            found.append(Variant(filtered, filtered.setting, extra_metrics=filtered.filtered_share))
        return [*found, *self.family.controls(plain[-1])]

    def compress(self, image: ImageLike) -> bytes:
        """A PIL image, or uint8 [H, W, 3] sRGB, to the bytes of a file. Raises as `check_size`."""
        return self.compress_batch([image])[0]

    def compress_batch(self, images: Sequence[ImageLike]) -> list[bytes]:
        """Several images of one size, through the networks together."""
        pixels = [as_rgb8(image) for image in images]
        if len({one.shape for one in pixels}) > 1:
            raise ValueError("the images of a batch have one size")
        return [self._to_file(*one) for one in zip(pixels, self.analyze(pixels), strict=True)]

    def decompress(self, data: bytes) -> Image.Image:
        """The RGB image of a file. Raises a BitstreamError that says what is wrong with the bytes."""
        header, coded, flags = self._decode(data)
        pixels = np.ascontiguousarray(self._synthesize(coded)[: header.height, : header.width])
        if flags is not None and self.coding.post_filter is not None:
            pixels = self.coding.post_filter.apply(pixels, flags)
        return Image.fromarray(pixels)

    def reconstruct(self, pixels: Pixels) -> Pixels:
        """What a file of uint8 [H, W, 3] would be decoded to, without a post-filter and without the file."""
        coded, _ = self.coding.quantize(self.analyze([pixels])[0])
        return np.ascontiguousarray(self._synthesize(coded)[: pixels.shape[0], : pixels.shape[1]])

    def decode_latent(self, data: bytes) -> CodedLatent:
        """What the bytes hold, before any float."""
        return self._decode(data)[1]

    def filtered_share(self, pixels: Pixels) -> Mapping[str, float]:
        """Of the tiles of an image's file, those that are corrected."""
        _, _, flags = self._decode(self.compress(pixels))
        return {"post_filtered_share": 0.0 if flags is None else float(flags.mean())}

    def check_size(self, width: int, height: int) -> PaddedSize:
        """What an image is padded to. Raises TooLargeError above `max_pixels`, or above what memory there is."""
        padded = self.transform.padded(width, height)
        whole = self.transform.max_pixels == DEFAULT_MAX_PIXELS
        check_pixels(width, height, self.max_pixels, padded, whole=whole)
        self.transform.check_memory(width, height)
        return padded

    def allows(self, width: int, height: int) -> bool:
        """Whether such an image is within `max_pixels`; memory there may be too little of."""
        padded = self.transform.padded(width, height)
        return padded.width * padded.height <= self.max_pixels

    def analyze(self, images: Sequence[Pixels]) -> list[UncodedLatent]:
        """Of images uint8 [H, W, 3] of one size."""
        if not images:
            return []
        height, width = images[0].shape[:2]
        sources = self.transform.analyze(images, self.check_size(width, height), self._tell)
        return [self.family.refine(self, *one) for one in zip(images, sources, strict=True)]

    def _to_file(self, pixels: Pixels, source: UncodedLatent) -> bytes:
        height, width = pixels.shape[:2]
        encoder = CheckedEncoder()
        coded = self.coding.code(encoder, self.coding.coders[self.coder], source)
        if not holds(coded, source):
            raise SelfCheckError("the symbols are not what was encoded: please report it")
        post_filter = self.coding.post_filter
        if post_filter is not None and self.post_filters:
            decoded = np.ascontiguousarray(self._synthesize(coded)[:height, :width])
            code_flags(encoder, post_filter.flags(decoded, pixels))
        if not encoder.decodes():
            raise SelfCheckError("the stream does not decode to what was encoded: please report it")
        header = Header(self.fingerprint, width, height, self.family.name, self.coder, self.post_filters)
        return pack(header, encoder.get_bytes())

    def _decode(self, data: bytes) -> tuple[Header, CodedLatent, Flags | None]:
        header, stream = self._open(data)
        blank = self.transform.blank(self.check_size(header.width, header.height))
        if header.coder not in self.coding.coders or (header.post_filter and self.coding.post_filter is None):
            raise CorruptedError(
                f"the file is coded by {header.coder}{' with tile flags' if header.post_filter else ''}, of which the "
                "model that made it knows nothing"
            )
        check_length(len(stream), self.coding.least_bits(self.coding.coders[header.coder], blank))
        decoder = RangeDecoder(stream)
        coded = self.coding.code(decoder, self.coding.coders[header.coder], blank)
        flags = None
        if header.post_filter and self.coding.post_filter is not None:
            grid = self.coding.post_filter.grid(header.height, header.width)
            flags = code_flags(decoder, np.zeros(grid, bool))
        decoder.finish()
        return header, coded, flags

    def _open(self, data: bytes) -> Unpacked:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"the bytes of an .hfc file are decoded, not a {type(data).__name__}: read the file first")
        unpacked = unpack(bytes(data), max_pixels=self.max_pixels)
        header = unpacked.header
        if header.fingerprint != self.fingerprint or header.codec != self.family.name:
            raise WrongModelError(
                f"the file was made by {header.codec} model {header.fingerprint.hex()}, loaded is {self.family.name} "
                f"model {self.fingerprint.hex()} ({self.name}): load the checkpoint that made it"
            )
        return unpacked

    def _synthesize(self, coded: CodedLatent) -> Pixels:
        return self.transform.synthesize(coded.latent_hat, coded.side_information, self._tell)

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)
