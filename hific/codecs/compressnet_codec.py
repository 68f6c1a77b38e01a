"""CompressNet as a codec.

    image [H, W, 3] ─ pad right and bottom to 16n >= 32 ─ analysis ─ symbols 0..4 [C, h, w] ─ coding ─ container ─ bytes
    bytes ─ container ─ coding ─ symbols ─ synthesis ─ crop ─ image [H, W, 3]        (where transmitted: and switches)

Only integers steer the coder: a file's symbols are the same on every machine, whatever floats the networks give there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hific.codecs.base import ImageLike
from hific.codecs.compressnet_coding import Coding, CompressNetCoding
from hific.codecs.file_of_model import open_file
from hific.codecs.pixel_limit import DEFAULT_MAX_PIXELS, check_memory, check_pixels
from hific.codecs.pixels import Pixels, as_rgb8, from_unit_range, to_unit_range
from hific.coding.container import Header, pack
from hific.models.compressnet import CompressNet
from hific.ops.padding import pad_to_multiple, padded_size

SwitchSource = Literal["predicted", "top_left", "random"]
Symbols = np.ndarray[Any, np.dtype[np.int32]]
SwitchMaps = Sequence[np.ndarray[Any, np.dtype[np.int8]]]

SCALES = 4
RANDOM_SWITCHES_SEED = 0


class CompressNetCodec:
    """One trained CompressNet with its coding tables.

    Args:
        model: on any device; it is set to evaluation mode.
        fingerprint: SHA-256 (or its first four bytes) of model and tables, see `model_fingerprint`.
        name: the system's name in tables, such as `sae_spn`.
        coding: how `compress` codes the latent, one of `codings`; None for the last, which gives the smallest files.
            `decompress` goes by the file.
        switch_source: where a model that predicts its switches takes them from when decoding; `top_left` and `random`
            are controls of what the prediction is worth.
        max_pixels: limit on the padded size, both ways. InstanceNorm looks at the whole image, so no tiles can be cut.
        training: what its checkpoint says of the run that made it.
    """

    extension = ".hfc"

    def __init__(
        self,
        model: CompressNet,
        coding_tables: CompressNetCoding,
        fingerprint: bytes,
        *,
        name: str = "compressnet",
        coding: Coding | None = None,
        switch_source: SwitchSource = "predicted",
        max_pixels: int | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        self.codings = coding_tables.codings
        _check_choice("coding", coding or self.codings[-1], self.codings)
        _check_choice("switch_source", switch_source, get_args(SwitchSource))
        if switch_source != "predicted" and model.switches != "predicted":
            raise ValueError(
                f"switch_source={switch_source!r}: only for models that predict switches, not {model.switches!r}"
            )
        check_tables(model, coding_tables)
        self.model = model.eval()
        self.coding_tables = coding_tables
        self.fingerprint = fingerprint[:4]
        self.name = name
        self.coding: Coding = coding or self.codings[-1]
        self.switch_source: SwitchSource = switch_source
        self.max_pixels = max_pixels or DEFAULT_MAX_PIXELS
        self.training: Mapping[str, Any] = dict(training or {})

    @property
    def setting(self) -> str:
        return self.coding if self.switch_source == "predicted" else f"{self.coding}, {self.switch_source} switches"

    def with_options(
        self, *, coding: Coding | None = None, switch_source: SwitchSource | None = None
    ) -> CompressNetCodec:
        """The same model and tables; what is None stays as it is."""
        return CompressNetCodec(
            self.model,
            self.coding_tables,
            self.fingerprint,
            name=self.name,
            coding=coding or self.coding,
            switch_source=switch_source or self.switch_source,
            max_pixels=self.max_pixels,
            training=self.training,
        )

    def compress(self, image: ImageLike) -> bytes:
        """A PIL image, or uint8 [H, W, 3] sRGB, to the bytes of a file. Raises as `check_size`."""
        pixels = as_rgb8(image)
        height, width = pixels.shape[:2]
        self.check_size(width, height)
        symbols, switches = self._analyze(pixels)
        raw_parts, stream = self.coding_tables.encode(self.coding, symbols, switches)
        header = Header(
            fingerprint=self.fingerprint, width=width, height=height, codec="compressnet", coding=self.coding
        )
        return pack(header, raw_parts, stream)

    def decompress(self, data: bytes) -> Image.Image:
        """The RGB image of a file. Raises a BitstreamError that says what is wrong with the bytes."""
        header, symbols, switches = self._decode(data)
        pixels = self._synthesize(symbols, switches)
        return Image.fromarray(pixels[: header.height, : header.width])

    def decode_symbols(self, data: bytes) -> tuple[Symbols, SwitchMaps | None]:
        """What the bytes hold, before any float: symbols int32 [C, h, w] of 0..4, and switches where transmitted."""
        _, symbols, switches = self._decode(data)
        return symbols, switches

    def check_size(self, width: int, height: int) -> tuple[int, int]:
        """The padded width and height. Raises TooLargeError above `max_pixels`, or above what memory there is."""
        stride, minimum = self.model.stride, self.model.minimum_size
        padded = padded_size(width, stride, minimum), padded_size(height, stride, minimum)
        check_pixels(width, height, self.max_pixels, padded)
        if self._device.type == "cpu":
            check_memory(width, height, padded, self.model.widths[0])
        return padded

    @torch.inference_mode()
    def oracle_reconstruction(self, image: ImageLike) -> Image.Image:
        """With the encoder's scale-1 switches where `decompress` predicts them: a bound, not decodable from a file."""
        if self.model.switches != "predicted":
            raise ValueError(
                f"only models that predict switches have an oracle; this one's switches are {self.model.switches!r}"
            )
        pixels = as_rgb8(image)
        height, width = pixels.shape[:2]
        self.check_size(width, height)
        analysis = self.model.analyze(self._to_tensor(pixels))
        latent_hat = self.model.quantize(analysis.latent).latent_hat
        output = self.model.synthesize(latent_hat, analysis.switches[:1])
        return Image.fromarray(from_unit_range((output.reconstruction + 1) / 2)[:height, :width])

    def _decode(self, data: bytes) -> tuple[Header, Symbols, SwitchMaps | None]:
        header, raw_parts, stream = open_file(
            data, codec="compressnet", fingerprint=self.fingerprint, name=self.name, max_pixels=self.max_pixels
        )
        width, height = self.check_size(header.width, header.height)
        shape = (self.model.latent_channels, height // self.model.stride, width // self.model.stride)
        switch_shapes = None
        if self.model.switches == "transmitted":
            switch_shapes = [(self.model.widths[i], height >> i + 1, width >> i + 1) for i in range(SCALES)]
        coding = cast(Coding, header.coding)
        symbols, switches = self.coding_tables.decode(coding, shape, switch_shapes, raw_parts, stream)
        return header, symbols, switches

    @torch.inference_mode()
    def _analyze(self, pixels: Pixels) -> tuple[Symbols, SwitchMaps | None]:
        analysis = self.model.analyze(self._to_tensor(pixels))
        symbols = self.model.quantize(analysis.latent).symbols[0].to(torch.int32).cpu().numpy()
        if self.model.switches != "transmitted":
            return symbols, None
        return symbols, [maps[0].to(torch.int8).cpu().numpy() for maps in analysis.switches]

    @torch.inference_mode()
    def _synthesize(self, symbols: Symbols, switches: SwitchMaps | None) -> Pixels:
        latent_hat = self.model.dequantize(torch.from_numpy(symbols)[None].long().to(self._device))
        if switches is not None:
            maps = [torch.from_numpy(plane)[None].long().to(self._device) for plane in switches]
        else:
            maps = self._control_switches(latent_hat)
        return from_unit_range((self.model.synthesize(latent_hat, maps or None).reconstruction + 1) / 2)

    def _control_switches(self, latent_hat: Tensor) -> list[Tensor]:
        if self.switch_source == "predicted":
            return []
        height, width = (length * self.model.stride // 2 for length in latent_hat.shape[-2:])
        shape = (1, self.model.widths[0], height, width)
        if self.switch_source == "top_left":
            return [torch.zeros(shape, dtype=torch.long, device=self._device)]
        generator = torch.Generator().manual_seed(RANDOM_SWITCHES_SEED)
        return [torch.randint(0, 4, shape, generator=generator).to(self._device)]

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _to_tensor(self, pixels: Pixels) -> Tensor:
        image = 2 * to_unit_range(pixels, self._device) - 1
        return pad_to_multiple(image, self.model.stride, self.model.minimum_size)


def check_tables(model: CompressNet, coding_tables: CompressNetCoding) -> None:
    """Raises ValueError where the tables are for other channels than the model's."""
    widths = model.widths[:SCALES] if model.switches == "transmitted" else ()
    if len(coding_tables.static_tables) != model.latent_channels:
        raise ValueError(
            f"coding tables of {len(coding_tables.static_tables)} channels, latent of {model.latent_channels}"
        )
    if tuple(len(tables) for tables in coding_tables.switch_tables) != tuple(widths):
        raise ValueError(f"the model's transmitted switches have {list(widths)} channels, the coding tables do not")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is none of {', '.join(choices)}")
