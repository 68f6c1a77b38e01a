"""Networks over images of any size in bounded memory: tiles with a halo as wide as the receptive field.

    ┌───────────────┐   Each tile is computed with `halo` more latents on every side where the image goes on, and cut
    │ halo ┌──────┐ │   back. Where the image ends, so does the tile, and the network's own zero padding is what it is
    │      │ tile │ │   in the whole image. Tiles start at whole latents, so strides fall on the same places.
    │      └──────┘ │
    └───────────────┘
Equal to the untiled result up to float rounding, for networks that look at positions only within the halo.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hific.codecs.base import Floats, Pixels
from hific.codecs.family import PaddedSize, Progress, Transform
from hific.codecs.latent_refinement import Scene, Search
from hific.codecs.memory import DECODE_MAX_PIXELS
from hific.ops.images import from_unit_range, to_unit_range

Place = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class Span:
    """Along one axis, in latents: `start`..`stop` is what the tile yields, `first`..`last` what it looks at."""

    start: int
    stop: int
    first: int
    last: int

    def seen(self, unit: int) -> slice:
        """What the tile looks at, where a latent is `unit` long."""
        return slice(self.first * unit, self.last * unit)

    def kept(self, unit: int) -> slice:
        """What is kept of what was computed, relative to its beginning."""
        return slice((self.start - self.first) * unit, (self.stop - self.first) * unit)

    def place(self, unit: int) -> slice:
        """Where that belongs in the whole."""
        return slice(self.start * unit, self.stop * unit)


def spans(length: int, tile: int, halo: int) -> list[Span]:
    """Parts of at most `tile` that cover 0..length, nearly equal."""
    parts = max(1, -(-length // tile))
    edges = [length * part // parts for part in range(parts + 1)]
    return [Span(start, stop, max(0, start - halo), min(length, stop + halo)) for start, stop in pairwise(edges)]


def tiles(height: int, width: int, tile: int, halo: int) -> Iterator[tuple[Span, Span]]:
    """(rows, columns) of every tile of a grid of `height` x `width` latents; `tile` and `halo` in latents."""
    for rows in spans(height, tile, halo):
        for columns in spans(width, tile, halo):
            yield rows, columns


class TiledTransform(Transform):
    """A model whose two networks see no further than `halo`: `model.analysis.halo` in pixels, a multiple of the stride,
    `model.synthesis.halo` in latents. tile: pixels a side, rounded down to whole latents; 0: the whole image."""

    tile: int
    max_pixels: int = DECODE_MAX_PIXELS

    @abstractmethod
    def synthesize_part(self, latent_hat: Tensor) -> Tensor:
        """Latents [B, C, h, w] to images [B, 3, H, W] in about [0, 1]."""

    @torch.inference_mode()
    def latents(
        self, images: Sequence[Pixels], size: PaddedSize, progress: Progress, analyze_part: Callable[[Tensor], Tensor]
    ) -> Floats:
        """Of images uint8 [H, W, 3] of one size, float32 [B, C, h, w]; analyze_part: [B, 3, H, W] in [0, 1] to
        latents."""
        unit, halo = self.model.stride, self.model.analysis.halo // self.model.stride
        rows, columns = size.height // unit, size.width // unit
        latents = np.empty((len(images), self.model.latent_channels, rows, columns), np.float32)
        padded = [_padded(one, size.height, size.width) for one in images]
        grid = self._grid(rows, columns, halo)
        for done, (down, across) in enumerate(grid, 1):
            seen = torch.cat([to_unit_range(one[down.seen(unit), across.seen(unit)], self.device) for one in padded])
            part = analyze_part(seen)[..., down.kept(1), across.kept(1)]
            latents[..., down.place(1), across.place(1)] = part.cpu().numpy()
            progress(done, len(grid))
        return latents

    @torch.inference_mode()
    def synthesize(
        self, latent_hat: Floats, side_information: Sequence[NDArray[np.int8]], progress: Progress
    ) -> Pixels:
        rows, columns = latent_hat.shape[-2:]
        unit = self.model.stride
        pixels = np.empty((rows * unit, columns * unit, 3), np.uint8)
        grid = self._grid(rows, columns, self.model.synthesis.halo)
        for done, (down, across) in enumerate(grid, 1):
            seen = torch.from_numpy(latent_hat[:, down.seen(1), across.seen(1)])[None].to(self.device)
            part = self.synthesize_part(seen.contiguous(memory_format=torch.channels_last))
            pixels[down.place(unit), across.place(unit)] = from_unit_range(
                part[..., down.kept(unit), across.kept(unit)]
            )
            progress(done, len(grid))
        return pixels

    def search(self, pixels: Pixels, symbols: Tensor, search: Search, scene_of: SceneOf) -> Tensor:
        """Whole symbols [1, C, h, w] in place of those, not yet rounded, that the analysis of uint8 [H, W, 3] gave:
        searched for tile by tile, each beside what was found before it."""
        unit = self.model.stride
        rows, columns = symbols.shape[-2:]
        padded = _padded(pixels, rows * unit, columns * unit)
        grid = self._grid(rows, columns, self.model.synthesis.halo)
        for number, (down, across) in enumerate(grid):
            image = to_unit_range(padded[down.seen(unit), across.seen(unit)], self.device)
            seen, inner = (down.seen(1), across.seen(1)), (down.kept(1), across.kept(1))
            scene = scene_of(image, symbols[..., *seen], seen, inner)
            symbols[..., down.place(1), across.place(1)] = search.part(number, len(grid))(self.model, scene)
        return symbols

    def _grid(self, rows: int, columns: int, halo: int) -> list[tuple[Span, Span]]:
        tile = self.tile // self.model.stride if self.tile else max(rows, columns)
        return list(tiles(rows, columns, tile, halo))


SceneOf = Callable[[Tensor, Tensor, Place, Place], Scene]
"""Of an image's part and its symbols, where that lies in all latents, and where in it are those to search for."""


def _padded(pixels: Pixels, height: int, width: int) -> Pixels:
    """Its edges repeated at the right and the bottom."""
    return np.pad(pixels, ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)), mode="edge")
