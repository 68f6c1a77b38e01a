"""Networks over images of any size in bounded memory: tiles with a halo as wide as the receptive field.

    ┌───────────────┐   Each tile is computed with `halo` more latents on every side where the image goes on, and cut
    │ halo ┌──────┐ │   back. Where the image ends, so does the tile, and the network's own zero padding is what it is
    │      │ tile │ │   in the whole image. Tiles start at whole latents, so strides fall on the same places.
    │      └──────┘ │
    └───────────────┘
Equal to the untiled result up to float rounding, for networks that look at positions only within the halo.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise


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
