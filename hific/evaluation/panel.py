"""panel.png: the original, each system and each classical codec side by side, with bytes and metrics under each.

    ┌ whole image ┐ ┌ whole image ┐      scaled down to the cell's width, never up
    │ crop, x2    │ │ crop, x2    │      the same pixels of every picture, each repeated: nothing is interpolated
    │ name        │ │ name        │
    └ bytes, dB.. ┘ └ bytes, dB.. ┘

Drawn from rows and kept reconstructions; nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from hific.evaluation.codecs_under_test import Pixels
from hific.evaluation.columns import KEY_METRICS, metric_column
from hific.evaluation.measurement import Measurement

MARGIN, GAP, LINE, TITLE_LINE = 16, 4, 18, 24
INK, SOFT_INK, PAPER, FRAME = "#1a1a1a", "#555555", "#ffffff", "#ffd400"
WIDEST, NARROWEST = 400, 160


@dataclass(frozen=True)
class PanelCell:
    """`pixels`: uint8 [H, W, 3], of one size in all cells; `lines` go under the title."""

    title: str
    lines: tuple[str, ...]
    pixels: Pixels


@dataclass(frozen=True)
class Zoom:
    """The crop that is shown enlarged: where its center is, as shares of width and height, and how many times a pixel
    is repeated each way."""

    x: float = 0.5
    y: float = 0.5
    factor: int = 2


def panel_cells(
    original: Pixels, measured: Sequence[tuple[Measurement, Pixels]], *, most_metrics: int = 3
) -> list[PanelCell]:
    """The cells of one image: the original, then each row with its reconstruction."""
    height, width = original.shape[:2]
    raw = PanelCell("original", (f"{width}x{height} pixels", f"{width * height * 3:,} bytes as 8-bit RGB"), original)
    shown = [name for name in KEY_METRICS if any(name in row.metrics for row, _ in measured)][:most_metrics]
    return [raw, *(PanelCell(row.system, _caption(row, shown), pixels) for row, pixels in measured)]


def in_rows(cells: Sequence[PanelCell]) -> tuple[list[PanelCell | None], int | None]:
    """And the number of columns: where codecs were held to the bytes of several systems (`codec <= system`) a row for
    each, the system first, and the original before the first row; else the cells as they are."""
    rows: dict[str, list[PanelCell]] = {}
    for cell in cells[1:]:
        name, _, held_to = cell.title.partition(" <= ")
        rows.setdefault(held_to or name, []).append(replace(cell, title=name))
    if sum(len(row) > 1 for row in rows.values()) < 2:
        return list(cells), None
    longest = max(len(row) for row in rows.values())
    placed: list[PanelCell | None] = []
    for row in rows.values():
        placed += [None if placed else cells[0], *row, *[None] * (longest - len(row))]
    return placed, longest + 1


def encode_panel(cells: Sequence[PanelCell], *, zoom: Zoom | None = None, max_bytes: int = 600_000) -> bytes:
    """A PNG of at most `max_bytes`, with cells as wide as that allows, at least NARROWEST. Colors are never reduced:
    that would put bands into pictures that have none."""
    cell_width = WIDEST
    while True:
        buffer = BytesIO()
        draw_panel(cells, cell_width=cell_width, zoom=zoom or Zoom()).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= max_bytes or cell_width <= NARROWEST:
            return buffer.getvalue()
        # Bytes grow with the area, a little slower for photos.
        cell_width = max(NARROWEST, min(cell_width - 4, int(cell_width * math.sqrt(max_bytes / buffer.tell()))))


def draw_panel(
    cells: Sequence[PanelCell], *, cell_width: int = 320, zoom: Zoom, columns: int | None = None
) -> Image.Image:
    """RGB. `columns`: by default as `in_rows` has them, or as many as make the last row fullest, 3 or 4 where there are
    enough cells."""
    placed, in_a_row = in_rows(cells) if columns is None else (list(cells), columns)
    columns = in_a_row or _columns(len(cells))
    crop = _crop_box(cells[0].pixels, cell_width, zoom)
    text_height = TITLE_LINE + LINE * max(len(cell.lines) for cell in cells)
    original = _picture(cells[0].pixels, cell_width, crop, zoom.factor, framed=True)
    width, height = original.width + MARGIN, original.height + GAP + text_height + MARGIN
    rows = math.ceil(len(placed) / columns)
    panel = Image.new("RGB", (MARGIN + columns * width, MARGIN + rows * height), PAPER)
    for place, cell in enumerate(placed):
        if cell is None:
            continue
        picture = original if place == 0 else _picture(cell.pixels, cell_width, crop, zoom.factor, framed=False)
        left, top = MARGIN + place % columns * width, MARGIN + place // columns * height
        panel.paste(picture, (left, top))
        _write(panel, cell, left, top + picture.height + GAP, picture.width)
    return panel


def _caption(row: Measurement, metrics: Sequence[str]) -> tuple[str, ...]:
    titles = {name: metric_column(name).title.replace(", dB", "").replace(", ΔE", "") for name in metrics}
    values = [f"{titles[name]} {_value(row, name)}" for name in metrics]
    size = f"coded at 1/{row.scale} size" if row.scale > 1 else ""
    return (f"{row.num_bytes:,} bytes, {row.bpp:.4f} bpp", *values, *filter(None, (size, row.note)))


def _value(row: Measurement, name: str) -> str:
    unit = " dB" if name == "psnr" else ""
    return f"{row.metrics[name]:.{metric_column(name).digits}f}{unit}" if name in row.metrics else "absent"


def _columns(count: int) -> int:
    if count <= 3:
        return count
    return min((3, 4), key=lambda columns: (-count % columns, columns))


def _crop_box(pixels: Pixels, cell_width: int, zoom: Zoom) -> tuple[int, int, int, int]:
    """Left, top, right, bottom; as wide as fills the cell when enlarged, inside the image, three quarters as high."""
    height, width = pixels.shape[:2]
    crop_width = max(1, min(width, min(cell_width, width) // zoom.factor))
    crop_height = max(1, min(height, crop_width * 3 // 4))
    left = min(max(round(zoom.x * width) - crop_width // 2, 0), width - crop_width)
    top = min(max(round(zoom.y * height) - crop_height // 2, 0), height - crop_height)
    return left, top, left + crop_width, top + crop_height


def _picture(
    pixels: Pixels, cell_width: int, crop: tuple[int, int, int, int], factor: int, *, framed: bool
) -> Image.Image:
    image = Image.fromarray(pixels)
    enlarged = image.crop(crop).resize(
        ((crop[2] - crop[0]) * factor, (crop[3] - crop[1]) * factor), Image.Resampling.NEAREST
    )
    width = enlarged.width
    whole = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    if framed:
        share = width / image.width
        ImageDraw.Draw(whole).rectangle([round(edge * share) for edge in crop], outline=FRAME, width=2)
    picture = Image.new("RGB", (width, whole.height + GAP + enlarged.height), PAPER)
    picture.paste(whole, (0, 0))
    picture.paste(enlarged, (0, whole.height + GAP))
    return picture


def _write(panel: Image.Image, cell: PanelCell, left: int, top: int, width: int) -> None:
    draw = ImageDraw.Draw(panel)
    size = next((size for size in range(17, 11, -1) if _font(size).getlength(cell.title) <= width), 11)
    draw.text((left, top), _shortened(cell.title, width, size), INK, _font(size))
    for number, line in enumerate(cell.lines):
        draw.text((left, top + TITLE_LINE + number * LINE), _shortened(line, width, 13), SOFT_INK, _font(13))


def _shortened(text: str, width: int, size: int) -> str:
    """With an ellipsis where it would run into the next cell."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
