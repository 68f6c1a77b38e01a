"""The gallery of an evaluation: a folder with one page, on which all kept pictures are looked at under one zoom.

    index.html              with base.css, gallery.css and the scripts inside of it; names and numbers as JSON
    thumbnails/0000.webp    of each original
    pictures/0000.js        each different picture once, as a script that hands its data URI over when it is shown

Opened from disk, a canvas may read the pixels of a data URI, of which it draws differences, and not those of a file.
The same evaluation gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from hific.errors import FileRefusedError, OptionError
from hific.evaluation.equal_bytes import without_next_sizes
from hific.evaluation.folder import ORIGINAL, EvaluationFolder
from hific.evaluation.means import summarize
from hific.evaluation.measurement import Measurement, systems
from hific.evaluation.page.assets import joined, legible, policy_source, template
from hific.evaluation.page.comparisons import rate_groups
from hific.evaluation.page.data import as_json, page_data
from hific.evaluation.page.pictures import Pictures, embed_pictures
from hific.evaluation.page.redraw import read_evaluation
from hific.evaluation.page.series import chart_series
from hific.evaluation.page.tables import main_table, shown_metrics
from hific.evaluation.report import ReportContext, warnings_of
from hific.io.write_whole import write_folder_whole

INDEX, PICTURES, THUMBNAILS = "index.html", "pictures", "thumbnails"
GENERATOR = "hific gallery"
THUMBNAIL = 192  # pixels of the longer side: twice what the page shows


@dataclass(frozen=True)
class Gallery:
    """What was written. `left_out`: photos that did not fit; `num_unkept`: of which no pictures were kept."""

    index: Path
    num_photos: int
    num_systems: int
    num_bytes: int
    left_out: tuple[str, ...]
    num_unkept: int


def write_gallery(
    source: Path, output: Path | None = None, *, title: str | None = None, max_bytes: int = 250_000_000
) -> Gallery:
    """Of a folder that evaluate.py wrote, or of its file of rows; into the folder `gallery` there, or `output`.

    An earlier gallery is replaced. Pictures are as decoded where all together take at most `max_bytes`, else nearly,
    with the deviation said, and photos that do not fit either are left out. Raises OptionError where there is nothing
    to show, ImageError for a picture that cannot be read, FileRefusedError for a folder that is no gallery.
    """
    rows, context, root = read_evaluation(source)
    target = output or root / "gallery"
    check_replaceable(target)
    folder = EvaluationFolder(root)
    shown = without_next_sizes(rows)
    images = {row.image for row in shown if not row.is_set}
    if not images:
        raise OptionError(f"{source} holds no measurements of images")
    pictures = embed_pictures(rows, folder, max_bytes)
    if not pictures.images:
        if pictures.left_out:
            raise OptionError(f"--max-megabytes {max_bytes / 1e6:g}: not even one of {len(images)} photos fits")
        raise OptionError(
            f"{source} keeps no pictures of its {len(images)} images: measure again with reconstructions=all, for "
            "which what was measured is taken from the cache"
        )
    num_unkept = len(images) - len(pictures.images) - len(pictures.left_out)
    context = context if title is None else replace(context, title=title)
    files = {INDEX: legible(render_gallery(rows, context, pictures, num_unkept)).encode()}
    for number, one in enumerate(pictures.images):
        files[f"{THUMBNAILS}/{number:04d}.webp"] = _thumbnail(folder, one.name)
    for number, uri in enumerate(pictures.uris):
        files[f"{PICTURES}/{number:04d}.js"] = f'hificPicture({number},"{uri}")\n'.encode()
    write_folder_whole(target, files, check=check_replaceable)
    num_systems = len({name for one in pictures.images for name in one.pictures} - {ORIGINAL})
    size = sum(map(len, files.values()))
    return Gallery(target / INDEX, len(pictures.images), num_systems, size, pictures.left_out, num_unkept)


def check_replaceable(path: Path) -> None:
    """FileRefusedError unless there is nothing at `path`, an empty folder, or a gallery and nothing else."""
    nearest = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not nearest.is_dir():
        raise FileRefusedError(f"{nearest} is no folder: name another with --output")
    if nearest is not path:
        return
    others = {entry.name for entry in path.iterdir()} - {INDEX, PICTURES, THUMBNAILS}
    index = path / INDEX
    is_ours = index.is_file() and f'content="{GENERATOR}"' in index.read_text(encoding="utf-8", errors="replace")[:1000]
    if others or (any(path.iterdir()) and not is_ours):
        raise FileRefusedError(
            f"{path} exists and is no gallery, which is never overwritten: name another with --output"
        )


def render_gallery(rows: list[Measurement], context: ReportContext, pictures: Pictures, num_unkept: int = 0) -> str:
    """index.html, in which pictures go by their numbers."""
    shown = without_next_sizes(rows)
    singles = [row for row in shown if not row.is_set]
    metrics = shown_metrics(shown)
    summaries = [one for one in summarize(shown) if one.rows]
    groups = main_table(summaries, rate_groups(rows), (), metrics).groups
    style, script = joined("base.css", "gallery.css"), joined("page.js", "gallery_maps.js", "gallery.js")
    place = {name: number for number, name in enumerate(systems(singles))}
    data = page_data(singles, chart_series(summaries), metrics, pictures)
    data["pictures"]["uris"] = len(pictures.uris)
    data["groups"] = [[[place[line.name], line.short_name] for line in group.lines] for group in groups]
    return template("gallery.html").render(
        context=context,
        summary=_summary(context, len(pictures.images), len(place)),
        warnings=warnings_of(shown, context.warnings),
        groups=groups,
        pictures=pictures,
        num_unkept=num_unkept,
        generator=GENERATOR,
        style=Markup(style),
        script=Markup(script),
        # a page from disk has no origin that 'self' could name
        policy=f"default-src 'none'; img-src 'self' file: data:; style-src {policy_source(style)}; "
        f"script-src 'self' file: {policy_source(script)}; base-uri 'none'; form-action 'none'",
        data=as_json(data),
    )


def _summary(context: ReportContext, num_photos: int, num_systems: int) -> str:
    data = f"{context.data}: " if context.data else ""
    photos, by = "photo" if num_photos == 1 else "photos", "system" if num_systems == 1 else "systems"
    return f"{data}{num_photos} {photos} by {num_systems} {by}. Bytes are of the whole file."


def _thumbnail(folder: EvaluationFolder, image: str) -> bytes:
    picture, buffer = Image.fromarray(folder.read_reconstruction(ORIGINAL, image)), BytesIO()
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    picture.save(buffer, "WEBP", quality=80, method=4)
    return buffer.getvalue()
