"""CompressNet as a family: its networks, and what its rows of a table are.

InstanceNorm, the paper's, looks at the whole image, which is coded in one piece; the patch transform sees tiles.

image [H, W, 3] ─ pad right and bottom to 16n >= 32 ─ analysis ─ levels -2..2 [C, h, w], where transmitted: switches
levels ─ synthesis, by transmitted or predicted switches ─ image
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hific.codecs.base import Floats, Pixels
from hific.codecs.families import CompressNetOptions
from hific.codecs.family import Family, PaddedSize, Progress, Transform, Variant
from hific.codecs.latent_coding import LatentCoding, UncodedLatent, blank_array
from hific.codecs.latent_refinement import Scene, Search
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.memory import DEFAULT_MAX_PIXELS, check_memory, check_tiled_memory
from hific.codecs.priors import ChannelPrior
from hific.codecs.tiling import Place, TiledTransform
from hific.coding.frequency_table import TOTAL
from hific.errors import OptionError
from hific.models.compressnet import CompressNet
from hific.ops.images import from_unit_range, pad_to_multiple, to_unit_range

SCALES = 4
RANDOM_SWITCHES_SEED = 0
# Of a bit per pixel in the encoder's search, beside the squared error's (codecs/latent_refinement.py).
RATE_WEIGHT = 12.0
NO_HYPER_SYMBOLS = (0, 0, 0)


class TiledCompressNetTransform(TiledTransform):
    """Of a model that `is_local`, which has no switches."""

    def __init__(self, model: CompressNet, options: CompressNetOptions) -> None:
        _check_switch_source(model, options)
        self.model = model.eval().to(memory_format=torch.channels_last)
        self.tile = options.tile

    def check_memory(self, width: int, height: int) -> None:
        if self.device.type == "cpu":
            check_tiled_memory(width, height, self.padded(width, height), self.model, self.tile)

    def blank(self, size: PaddedSize) -> UncodedLatent:
        return _blank(self.model, size)

    def analyze(self, images: Sequence[Pixels], size: PaddedSize, progress: Progress) -> list[UncodedLatent]:
        latents = self.latents(images, size, progress, self._quantized_part)
        return [UncodedLatent(latent, np.zeros(NO_HYPER_SYMBOLS, np.int32)) for latent in latents]

    def synthesize_part(self, latent_hat: Tensor) -> Tensor:
        return (self.model.synthesize(latent_hat).reconstruction + 1) / 2

    @torch.inference_mode(mode=False)  # which a caller may be in, and in which nothing can be searched
    def refine(self, pixels: Pixels, source: UncodedLatent, costs: Floats, search: Search) -> Floats:
        """The latent of uint8 [H, W, 3] at whole levels, searched for tile by tile. costs: bits of each level
        [C, levels]."""
        half = self.model.levels // 2
        bits = partial(interpolated_bits, costs=torch.from_numpy(costs).to(self.device))

        def scene_of(image: Tensor, symbols: Tensor, seen: Place, inner: Place) -> Scene:
            return Scene(image, symbols, *inner, self.synthesize_part, bits, -half, half)

        height, width = pixels.shape[:2]
        latent = self.latents([pixels], self.padded(width, height), lambda done, all_of_them: None, self._latent_part)
        found: Floats = self.search(pixels, torch.from_numpy(latent).to(self.device), search, scene_of)[0].cpu().numpy()
        return found

    def _latent_part(self, image: Tensor) -> Tensor:
        return self.model.analyze(2 * image - 1, note_switches=False).latent.float()

    def _quantized_part(self, image: Tensor) -> Tensor:
        return self.model.quantize(self._latent_part(image)).latent_hat


class CompressNetTransform(Transform):
    """Images as a whole."""

    max_pixels = DEFAULT_MAX_PIXELS

    def __init__(self, model: CompressNet, options: CompressNetOptions) -> None:
        _check_switch_source(model, options)
        self.model = model.eval()
        self.switch_source = options.switch_source

    def check_memory(self, width: int, height: int) -> None:
        if self.device.type == "cpu":
            check_memory(width, height, self.padded(width, height), self.model.channels_per_pixel)

    def blank(self, size: PaddedSize) -> UncodedLatent:
        return _blank(self.model, size)

    @torch.inference_mode()
    def analyze(self, images: Sequence[Pixels], size: PaddedSize, progress: Progress) -> list[UncodedLatent]:
        found = []
        for done, pixels in enumerate(images, 1):
            analysis = self.model.analyze(self.to_tensor(pixels), note_switches=self.model.switches == "transmitted")
            latent = self.model.quantize(analysis.latent).latent_hat[0].float().cpu().numpy()
            planes = tuple(maps[0].to(torch.int8).cpu().numpy() for maps in analysis.switches)
            found.append(UncodedLatent(latent, np.zeros(NO_HYPER_SYMBOLS, np.int32), planes))
            progress(done, len(images))
        return found

    @torch.inference_mode()
    def synthesize(
        self, latent_hat: Floats, side_information: Sequence[NDArray[np.int8]], progress: Progress
    ) -> Pixels:
        latent = torch.from_numpy(latent_hat)[None].to(self.device)
        switches = self._switches(side_information, latent)
        pixels = from_unit_range((self.model.synthesize(latent, switches).reconstruction + 1) / 2)
        progress(1, 1)
        return pixels

    @torch.inference_mode(mode=False)  # which a caller may be in, and in which nothing can be searched
    def refine(self, pixels: Pixels, source: UncodedLatent, costs: Floats, search: Search) -> Floats:
        """The latent of uint8 [H, W, 3] at whole levels, searched for. costs: bits of each level [C, levels]."""
        image, half = self.to_tensor(pixels), self.model.levels // 2
        with torch.no_grad():
            latent = self.model.analyze(image, note_switches=False).latent
        switches = self._switches(source.side_information, latent)

        def decode(symbols: Tensor) -> Tensor:
            return (self.model.synthesize(symbols, switches).reconstruction + 1) / 2

        bits = partial(interpolated_bits, costs=torch.from_numpy(costs).to(self.device))
        rows, columns = (slice(0, length) for length in latent.shape[-2:])
        scene = Scene((image + 1) / 2, latent.float(), rows, columns, decode, bits, -half, half)
        found: Floats = search(self.model, scene)[0].cpu().numpy()
        return found

    def to_tensor(self, pixels: Pixels) -> Tensor:
        """float32 [1, 3, H, W] in [-1, 1], padded."""
        image = 2 * to_unit_range(pixels, self.device) - 1
        return pad_to_multiple(image, self.model.stride, self.model.minimum_size)

    def _switches(self, side_information: Sequence[NDArray[np.int8]], latent: Tensor) -> list[Tensor] | None:
        """Those transmitted, or a control's; None where the model needs none or predicts its own."""
        planes = [torch.from_numpy(plane)[None].long().to(self.device) for plane in side_information]
        return planes or self._control_switches(latent) or None

    def _control_switches(self, latent_hat: Tensor) -> list[Tensor]:
        if self.switch_source == "predicted":
            return []
        height, width = (length * self.model.stride // 2 for length in latent_hat.shape[-2:])
        shape = (1, self.model.widths[0], height, width)
        if self.switch_source == "top_left":
            return [torch.zeros(shape, dtype=torch.long, device=self.device)]
        generator = torch.Generator().manual_seed(RANDOM_SWITCHES_SEED)
        return [torch.randint(0, 4, shape, generator=generator).to(self.device)]


def _blank(model: CompressNet, size: PaddedSize) -> UncodedLatent:
    stride, widths = model.stride, model.widths
    latent = blank_array((model.latent_channels, size.height // stride, size.width // stride), np.float32)
    scales = range(SCALES) if model.switches == "transmitted" else ()
    planes = [blank_array((widths[i], size.height >> i + 1, size.width >> i + 1), np.int8) for i in scales]
    return UncodedLatent(latent, np.zeros(NO_HYPER_SYMBOLS, np.int32), tuple(planes))


def _check_switch_source(model: CompressNet, options: CompressNetOptions) -> None:
    if options.switch_source != "predicted" and model.switches != "predicted":
        raise OptionError(
            f"switch_source={options.switch_source}: only for models that predict switches; this one's are "
            f"{model.switches}"
        )


def make_transform(model: CompressNet, options: CompressNetOptions) -> CompressNetTransform | TiledCompressNetTransform:
    """In tiles where the model sees no further than that."""
    return (TiledCompressNetTransform if model.is_local else CompressNetTransform)(model, options)


def interpolated_bits(symbols: Tensor, costs: Tensor) -> Tensor:
    """Of symbols [1, C, h, w] around 0, whole or between; costs [C, levels]: bits of each whole one. A scalar."""
    place = symbols[0].flatten(1) + costs.shape[1] // 2
    below = place.detach().floor().clamp(0, costs.shape[1] - 2).long()
    share = place - below
    return ((1 - share) * costs.gather(1, below) + share * costs.gather(1, below + 1)).sum()


def refine_latent(codec: LearnedCodec, pixels: Pixels, source: UncodedLatent) -> UncodedLatent:
    """As good as `effort` steps make it (codecs/latent_refinement.py); as it comes where that is 0. Bits are counted by
    the tables: what a context model makes of them is not known before all are chosen."""
    if not codec.options.effort:
        return source
    assert isinstance(codec.transform, CompressNetTransform | TiledCompressNetTransform)
    search = Search(RATE_WEIGHT, RATE_WEIGHT, codec.options.effort, codec.progress)
    assert isinstance(codec.coding.prior, ChannelPrior)
    tables = codec.coding.prior.tables
    costs = np.stack([-np.log2(tables.table(channel)[:-1] / TOTAL) for channel in range(len(tables))])
    latent = codec.transform.refine(pixels, source, costs.astype(np.float32), search)
    return replace(source, latent=latent)


def check(model: CompressNet, coding: LatentCoding) -> None:
    widths = model.widths[:SCALES] if model.switches == "transmitted" else ()
    if coding.prior.latent_channels != model.latent_channels or coding.prior.num_levels != model.levels:
        raise ValueError(
            f"tables of {coding.prior.latent_channels} channels, the model's latent has {model.latent_channels}"
        )
    if tuple(len(tables) for tables in coding.side_tables) != tuple(widths):
        raise ValueError(f"the model's transmitted switches have {list(widths)} channels, the tables do not")


def controls(codec: LearnedCodec) -> Sequence[Variant]:
    """Of models that predict switches: top-left, random, and the encoder's own, which no file holds."""
    if codec.model.switches != "predicted":
        return ()
    others = {source: codec.with_options(switch_source=source) for source in ("top_left", "random")}
    found = [Variant(one, f"{one.setting}, {source} switches", is_control=True) for source, one in others.items()]
    oracle = partial(oracle_reconstruction, codec)
    return [*found, Variant(codec, f"{codec.setting}, oracle switches", reconstruct=oracle, is_control=True)]


@torch.inference_mode()
def oracle_reconstruction(codec: LearnedCodec, pixels: Pixels) -> Image.Image:
    """With the encoder's scale-1 switches where `decompress` predicts them: a bound, not decodable from a file."""
    height, width = pixels.shape[:2]
    codec.check_size(width, height)
    assert isinstance(codec.transform, CompressNetTransform)
    analysis = codec.model.analyze(codec.transform.to_tensor(pixels))
    output = codec.model.synthesize(codec.model.quantize(analysis.latent).latent_hat, analysis.switches[:1])
    return Image.fromarray(from_unit_range((output.reconstruction + 1) / 2)[:height, :width])


@torch.inference_mode()
def switch_metrics(codec: LearnedCodec, pixels: Pixels) -> Mapping[str, float]:
    """Share of the un-tied windows of scale 1 whose switch is predicted as the encoder has it; chance is .25."""
    if codec.model.switches != "predicted":
        return {}
    assert isinstance(codec.transform, CompressNetTransform)
    output = codec.model(codec.transform.to_tensor(pixels))
    predicted, untied = output.synthesis.predicted_switches, ~output.analysis.tied[0]
    assert predicted is not None
    right = (predicted == output.analysis.switches[0]) & untied
    return {"switch_accuracy": float(right.sum() / untied.sum().clamp(min=1))}


FAMILY = Family(
    name="compressnet",
    model=CompressNet,
    transform=make_transform,
    prior=ChannelPrior.from_state,
    check=check,
    extra_metrics=switch_metrics,
    controls=controls,
    refine=refine_latent,
)
