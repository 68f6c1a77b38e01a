"""What report.js needs: every row, and the pictures, as JSON that can stand inside of HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from hific.evaluation.columns import metric_column
from hific.evaluation.folder import ORIGINAL
from hific.evaluation.measurement import Measurement, systems
from hific.evaluation.page.curves import COLORS, marker
from hific.evaluation.page.pictures import Pictures
from hific.evaluation.page.series import Series
from hific.evaluation.page.tables import heading

# Significant digits of a metric: all that a table or a chart shows.
_DIGITS = 6
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'\u2028\u2029"}


def page_data(
    rows: Sequence[Measurement],
    series: Sequence[Series],
    metrics: Sequence[str],
    pictures: Pictures,
    first_shown: str = "",
    *,
    with_rows: bool = True,
) -> dict[str, Any]:
    """`rows`: of single images. Systems and images go by their places in the lists of names, which may be alike once
    they are made legible. `first_shown`: the system beside the original, until a reader chooses."""
    labels = systems(rows)
    images = list(dict.fromkeys(row.image for row in rows)) if with_rows else [one.name for one in pictures.images]
    at = {name: number for number, name in enumerate(images)}
    by_image = sorted(rows if with_rows else (), key=lambda row: at[row.image])
    place = {name: number for number, name in enumerate(labels)}
    line = {one.system: entry for entry in series for one in entry.members}
    return {
        "systems": [
            {
                "name": name,
                "series": line[name].number,
                "color": line[name].number % COLORS,
                "marker": str(marker(line[name].number)),
                "kind": "learned" if line[name].is_learned else "classical",
            }
            for name in labels
        ],
        "images": images,
        "metrics": [_metric(name) for name in metrics],
        "rows": [_row(row, place[row.system], at[row.image], metrics) for row in by_image],
        "pictures": _pictures(pictures, place, at, rows, metrics),
        "firstShown": place.get(first_shown),
    }


def as_json(data: Mapping[str, Any]) -> Markup:
    """Without any character that could end the element or begin another."""
    return Markup(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES))


def _metric(name: str) -> dict[str, Any]:
    column = metric_column(name)
    return {
        "name": name,
        "title": column.title,
        "heading": heading(name),
        "digits": column.digits,
        "up": column.higher_is_better,
    }


def _row(row: Measurement, system: int, image: int, metrics: Sequence[str]) -> list[Any]:
    """System, image, bytes, bpp, setting, note, metrics."""
    note = "; ".join(filter(None, (f"coded at 1/{row.scale} of width and height" if row.scale > 1 else "", row.note)))
    values = [_rounded(row.metrics.get(name)) for name in metrics]
    return [system, image, row.num_bytes, float(f"{row.bpp:.6g}"), row.setting, note, *values]


def _rounded(value: float | None) -> float | None:
    """None also for what JSON has no number of: the PSNR of equal pictures is infinite."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(f"{value:.{_DIGITS}g}")


def _pictures(
    pictures: Pictures,
    place: Mapping[str, int],
    images: Mapping[str, int],
    rows: Sequence[Measurement],
    metrics: Sequence[str],
) -> dict[str, Any]:
    """`shown`: system to picture, the original is -1; `rows`: of these systems, also where all rows are left out."""
    entries = []
    for one in pictures.images:
        of_image = {row.system: row for row in rows if row.image == one.name}
        entries.append(
            {
                "image": images[one.name],
                "width": one.width,
                "height": one.height,
                "shown": [[-1 if name == ORIGINAL else place[name], uri] for name, uri in one.pictures.items()],
                "rows": [
                    _row(of_image[name], place[name], images[one.name], metrics)
                    for name in one.pictures
                    if name in of_image
                ],
            }
        )
    return {"uris": list(pictures.uris), "images": entries}
