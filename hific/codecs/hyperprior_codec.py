"""HiFiC as a codec.

    image [H, W, 3] ─ pad to 16n ─ analysis, in tiles ─ latent [C, h, w] ─┬─ hyper-analysis ─ round ─ hyper-symbols
                                                                          └─ coding ─ container ─ bytes
    bytes ─ container ─ coding ─ symbols + means = latent_hat ─ synthesis, in tiles ─ crop ─┬─────────── image [H, W, 3]
                                                     where there is a refinement, by tiles: └─ refined ─┘

Only integers steer the coder (codecs/hyperprior_coding.py), so a file's symbols are the same on every machine, and its
stream does not depend on the tiles of whoever decodes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hific.codecs.base import ImageLike
from hific.codecs.file_of_model import open_file
from hific.codecs.hyperprior_coding import Coding, DecodedLatent, HyperpriorCoding, clip_hyper_symbols
from hific.codecs.pixel_limit import DECODE_MAX_PIXELS, DEFAULT_MAX_PIXELS, check_pixels, check_tiled_memory
from hific.codecs.pixels import Pixels, as_rgb8, from_unit_range, to_unit_range
from hific.codecs.refined_tiles import pack_flags, unpack_flags
from hific.codecs.tiles import tiles
from hific.coding.container import Header, pack
from hific.context.refinement import Flags
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.ops.padding import padded_size

Precision = Literal["float32", "bfloat16"]
Symbols = np.ndarray[Any, np.dtype[np.int32]]
Latent = np.ndarray[Any, np.dtype[np.float32]]
Progress = Callable[[int, int], None]
"""(tiles done, tiles in all)"""

DEFAULT_TILE = 1024


class HyperpriorCodec:
    """One trained HiFiC with its integer networks and tables.

    Args:
        model: on any device; it is set to evaluation mode.
        fingerprint: SHA-256 (or its first four bytes) of model and tables, see `model_fingerprint`.
        name: the system's name in tables, such as `hific`.
        coding: how `compress` codes the latent, one of `codings`; None for the last, which gives the smallest files.
            `decompress` goes by the file.
        refine: whether `compress` looks which tiles are closer to the image when they are refined; None for yes where
            the model has a refinement. It takes the time of a `decompress`. `decompress` goes by the file.
        tile: pixels a side that the networks see at a time, beside a halo; 0 for the whole image. A decoder may choose
            another one than the encoder had.
        precision: of analysis and synthesis. Files are decodable whatever it is; pixels differ by a level or so.
        max_pixels: limit on the padded size, both ways.
        training: what its checkpoint says of the run that made it.
        progress: told after every tile.
    """

    extension = ".hfc"

    def __init__(
        self,
        model: HyperpriorAutoencoder,
        coding_tables: HyperpriorCoding,
        fingerprint: bytes,
        *,
        name: str = "hific",
        coding: Coding | None = None,
        refine: bool | None = None,
        tile: int = DEFAULT_TILE,
        precision: Precision = "float32",
        max_pixels: int | None = None,
        training: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if tile < 0 or precision not in ("float32", "bfloat16"):
            raise ValueError(f"tile={tile} is not 0 or more, or precision={precision!r} none of float32, bfloat16")
        # Statistics over the whole image cannot be had from tiles.
        tileable = model.normalization != "instance"
        self.model = model.eval().to(memory_format=torch.channels_last)
        self.coding_tables = coding_tables
        self.codings: tuple[Coding, ...] = coding_tables.codings
        if coding is not None and coding not in self.codings:
            raise ValueError(f"coding={coding!r} is none of {', '.join(self.codings)}")
        self.coding: Coding = coding or self.codings[-1]
        self.refinement = coding_tables.refinement
        if refine and self.refinement is None:
            raise ValueError("refine=True: this model has no refinement of decoded images")
        self.refine = self.refinement is not None and refine is not False
        self.fingerprint = fingerprint[:4]
        self.name = name
        self.tile = tile if tileable else 0
        self.precision: Precision = precision
        self.max_pixels = max_pixels or (DECODE_MAX_PIXELS if tileable else DEFAULT_MAX_PIXELS)
        self.training: Mapping[str, Any] = dict(training or {})
        self.progress = progress

    @property
    def setting(self) -> str:
        return f"{self.coding}, refined" if self.refine else self.coding

    def with_options(
        self, *, coding: Coding | None = None, refine: bool | None = None, tile: int | None = None
    ) -> HyperpriorCodec:
        """The same model and tables; what is None stays as it is."""
        return HyperpriorCodec(
            self.model,
            self.coding_tables,
            self.fingerprint,
            name=self.name,
            coding=coding or self.coding,
            refine=self.refine if refine is None else refine,
            tile=self.tile if tile is None else tile,
            precision=self.precision,
            max_pixels=self.max_pixels,
            training=self.training,
            progress=self.progress,
        )

    def compress(self, image: ImageLike) -> bytes:
        """A PIL image, or uint8 [H, W, 3] sRGB, to the bytes of a file. Raises as `check_size`."""
        pixels = as_rgb8(image)
        return self._to_file(pixels, self._analyze([pixels])[0])

    def compress_batch(self, images: Sequence[ImageLike]) -> list[bytes]:
        """Several images of one size, through the networks together."""
        pixels = [as_rgb8(image) for image in images]
        if len({one.shape for one in pixels}) > 1:
            raise ValueError("the images of a batch have one size")
        if not pixels:
            return []
        return [self._to_file(*one) for one in zip(pixels, self._analyze(pixels), strict=True)]

    def decompress(self, data: bytes) -> Image.Image:
        """The RGB image of a file. Raises a BitstreamError that says what is wrong with the bytes."""
        header, flags, decoded = self._decode(data)
        pixels = np.ascontiguousarray(self._synthesize(decoded.latent_hat)[: header.height, : header.width])
        if flags is not None and self.refinement is not None:
            pixels = self.refinement.apply(pixels, flags)
        return Image.fromarray(pixels)

    def decode_symbols(self, data: bytes) -> tuple[Symbols, Symbols]:
        """What the bytes hold, before any float: hyper-symbols int32 [N, hz, wz] and symbols int32 [C, h, w]."""
        _, _, decoded = self._decode(data)
        return decoded.hyper_symbols, decoded.symbols

    def refined_share(self, data: bytes) -> float:
        """The share of the tiles of a file that are refined."""
        _, flags, _ = self._decode(data)
        return 0.0 if flags is None else float(flags.mean())

    @torch.inference_mode()
    def estimated_bpp(self, image: ImageLike) -> float:
        """What the likelihoods of the float networks say of the rounded latents, over the unpadded pixels."""
        pixels = as_rgb8(image)
        latent = torch.from_numpy(self._analyze([pixels])[0])[None].to(self._device)
        return float(self.model.quantized_bits(latent)) / (pixels.shape[0] * pixels.shape[1])

    def check_size(self, width: int, height: int) -> tuple[int, int]:
        """The padded width and height. Raises TooLargeError above `max_pixels`, or above what memory there is."""
        stride, minimum = self.model.stride, self.model.minimum_size
        padded = padded_size(width, stride, minimum), padded_size(height, stride, minimum)
        check_pixels(width, height, self.max_pixels, padded)
        if self._device.type == "cpu":
            check_tiled_memory(width, height, padded, self.model, self.tile, self.precision)
        return padded

    def _to_file(self, pixels: Pixels, latent: Latent) -> bytes:
        height, width = pixels.shape[:2]
        hyper_symbols = self._hyper_symbols(latent)
        stream, symbols = self.coding_tables.encode(hyper_symbols, latent, self.coding)
        flags: tuple[bytes, ...] = ()
        if self.refine and self.refinement is not None:
            means = self.coding_tables.predict(hyper_symbols, *latent.shape[1:]).means
            reconstruction = self._synthesize(DecodedLatent(hyper_symbols, symbols, means).latent_hat)[:height, :width]
            flags = pack_flags(self.refinement.choose(reconstruction, pixels))
        header = Header(fingerprint=self.fingerprint, width=width, height=height, codec="hific", coding=self.coding)
        return pack(header, flags, stream)

    def _decode(self, data: bytes) -> tuple[Header, Flags | None, DecodedLatent]:
        header, raw_parts, stream = open_file(
            data, codec="hific", fingerprint=self.fingerprint, name=self.name, max_pixels=self.max_pixels
        )
        width, height = self.check_size(header.width, header.height)
        flags = unpack_flags(raw_parts, self.refinement, header.height, header.width)
        stride = self.model.stride
        coding = cast(Coding, header.coding)
        return header, flags, self.coding_tables.decode(stream, height // stride, width // stride, coding)

    @torch.inference_mode()
    def _analyze(self, images: Sequence[Pixels]) -> list[Latent]:
        height, width = images[0].shape[:2]
        padded_width, padded_height = self.check_size(width, height)
        unit, halo = self.model.stride, self.model.analysis.HALO // self.model.stride
        rows, columns = padded_height // unit, padded_width // unit
        latent = np.empty((len(images), self.model.latent_channels, rows, columns), np.float32)
        margins = ((0, padded_height - height), (0, padded_width - width), (0, 0))
        padded = [np.pad(one, margins, mode="edge") for one in images]
        grid = list(tiles(rows, columns, self._tile_in_latents(rows, columns), halo))
        for done, (down, across) in enumerate(grid, 1):
            seen = torch.cat([to_unit_range(one[down.seen(unit), across.seen(unit)], self._device) for one in padded])
            with self._precision():
                part = self.model.analyze(seen)[..., down.kept(1), across.kept(1)]
            latent[..., down.place(1), across.place(1)] = part.cpu().numpy()
            self._tell(done, len(grid))
        return list(latent)

    @torch.inference_mode()
    def _hyper_symbols(self, latent: Latent) -> Symbols:
        hyper_latent: Tensor = self.model.hyper_analysis(torch.from_numpy(latent)[None].to(self._device))
        return clip_hyper_symbols(hyper_latent[0].cpu().numpy())

    @torch.inference_mode()
    def _synthesize(self, latent_hat: Latent) -> Pixels:
        rows, columns = latent_hat.shape[-2:]
        unit, halo = self.model.stride, self.model.synthesis.halo
        pixels = np.empty((rows * unit, columns * unit, 3), np.uint8)
        grid = list(tiles(rows, columns, self._tile_in_latents(rows, columns), halo))
        for done, (down, across) in enumerate(grid, 1):
            seen = torch.from_numpy(latent_hat[:, down.seen(1), across.seen(1)])[None].to(self._device)
            with self._precision():
                part = self.model.synthesize(seen.contiguous(memory_format=torch.channels_last))
            pixels[down.place(unit), across.place(unit)] = from_unit_range(
                part[..., down.kept(unit), across.kept(unit)]
            )
            self._tell(done, len(grid))
        return pixels

    def _tile_in_latents(self, rows: int, columns: int) -> int:
        return max(1, self.tile // self.model.stride) if self.tile else max(rows, columns)

    def _precision(self) -> AbstractContextManager[Any]:
        enabled = self.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device
