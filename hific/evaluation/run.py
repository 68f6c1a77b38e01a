"""One evaluation from systems to a folder of results; what evaluate.py and the experiments call."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hific.evaluation.bd_rate import bd_rate_table
from hific.evaluation.codecs_under_test import CodecUnderTest, RateMatchedCodec
from hific.evaluation.columns import measured_key_metrics
from hific.evaluation.equal_bytes import NEXT_SIZE, equal_bytes_table, own_bytes_table, without_next_sizes
from hific.evaluation.evaluate import EvaluationImage, evaluate_system
from hific.evaluation.folder import ORIGINAL, ROWS, EvaluationFolder, check_folders, write_rows
from hific.evaluation.measurement import Measurement, Provenance, byte_limits, systems
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.page.redraw import write_page
from hific.evaluation.panel import Zoom, encode_panel, panel_cells
from hific.evaluation.plots import metric_bars, rate_metric_curves, save_figure
from hific.evaluation.rate_search import CodecFamily, Files, Make, make
from hific.evaluation.report import ReportContext, write_report
from hific.evaluation.round_trip import KeptTrips
from hific.evaluation.search_ahead import SearchAhead
from hific.evaluation.tables import main_table
from hific.io.write_whole import write_whole

log = logging.getLogger(__name__)

# The rows so far of an evaluation that was interrupted, beside its files.
PARTIAL = "measurements_so_far.csv"


@dataclass(frozen=True)
class PanelOptions:
    """`images`: names, the first of them makes panel.png; `systems`: labels in the order of the cells, None for all."""

    images: Sequence[str] = ()
    systems: Sequence[str] | None = None
    zoom: Zoom = field(default_factory=Zoom)
    max_bytes: int = 600_000


def measure_all(
    learned: Sequence[CodecUnderTest],
    families: Sequence[CodecFamily],
    limits: Mapping[str, int] | Sequence[str],
    images: Sequence[EvaluationImage],
    metrics: Metrics,
    folder: EvaluationFolder,
    provenance: Provenance | None = None,
    *,
    both_sides: bool = False,
    make: Make = make,
    workers: int = 1,
    kept: KeptTrips | None = None,
) -> list[Measurement]:
    """Rows of the learned systems, then of each family at the same bytes; with `both_sides` also at its next size.

    `limits`: bytes by image name, or the labels of learned systems whose bytes are the limits: with more than one of
    them each family is searched once for each, and its label says for which. `make`: of the families' files.
    `workers`: so many images are searched at once. `kept`: what was done of learned systems, by which an evaluation
    that was interrupted is taken up. Interrupted, it leaves the rows of the systems that were done in `PARTIAL`.
    """
    check_folders([*(system.name for system in learned), *matched_names(families, limits)])
    for image in images:
        if image.name in folder.keep:
            folder.put_reconstruction(ORIGINAL, image.name, image.read())
    rows: list[Measurement] = []
    with SearchAhead(workers) as ahead, _kept_if_interrupted(rows, folder.root / PARTIAL):
        for system in learned:
            rows += _measured(system, images, metrics, folder, provenance, kept=kept)
        by_label = {"": limits} if isinstance(limits, Mapping) else {name: byte_limits(rows, name) for name in limits}
        make = ahead.while_wanted(make)
        for matched in _matched_systems(families, by_label, both_sides=both_sides, make=make):
            rows += _measured(matched, images, metrics, folder, provenance, ahead if workers > 1 else None)
    return rows


def _matched_systems(
    families: Sequence[CodecFamily], by_label: Mapping[str, Mapping[str, int]], *, both_sides: bool, make: Make
) -> Iterator[RateMatchedCodec]:
    files: list[dict[str, Files]] = [{} for _ in families]
    for label, max_bytes in by_label.items():
        for family, made in zip(families, files, strict=True):
            name = matched_name(family, label, len(by_label))
            yield RateMatchedCodec(name, family, max_bytes, files=made, make=make)
            if both_sides:
                next_name = f"{name}{NEXT_SIZE}"
                yield RateMatchedCodec(next_name, family, max_bytes, next_larger=True, files=made, make=make)


@contextmanager
def _kept_if_interrupted(rows: Sequence[Measurement], path: Path) -> Iterator[None]:
    """What Ctrl-C finds of the rows goes to `path`."""
    try:
        yield
    except KeyboardInterrupt:
        write_rows(rows, path)
        raise


def matched_name(family: CodecFamily, label: str, num_labels: int) -> str:
    """What a family is called at the bytes of the system `label`, one of so many."""
    return f"{family.name} <= {label}" if num_labels > 1 else family.name


def matched_names(families: Sequence[CodecFamily], limits: Mapping[str, int] | Sequence[str]) -> list[str]:
    """The labels of the rows that `measure_all` makes of the families."""
    labels = [""] if isinstance(limits, Mapping) else limits
    return [matched_name(family, label, len(labels)) for label in labels for family in families]


def write_results(
    rows: Sequence[Measurement], context: ReportContext, folder: EvaluationFolder, panel: PanelOptions | None = None
) -> list[Path]:
    """measurements.parquet, .csv, report.html, .md, tables as .md and .tex, figures, panels; returns all paths."""
    root, panel = folder.root, panel or PanelOptions()
    written = [*write_rows(rows, root / ROWS), *write_page(rows, context, root)]
    for partial in root.glob(f"{Path(PARTIAL).stem}.*"):
        partial.unlink()
    compared, own = equal_bytes_table(rows), own_bytes_table(rows)
    rows = without_next_sizes(rows)
    table = main_table(rows)
    texts = {"table.md": table.to_markdown(), "table.tex": table.to_latex()}
    figures = {}
    for number, image in enumerate(panel.images):
        name = "panel.png" if number == 0 else f"panel_{image}.png"
        write_whole(root / name, draw_image_panel(rows, image, folder, panel))
        figures[f"{image}: original and reconstructions"] = name
    drawn = measured_key_metrics(rows)[:4]
    if drawn:
        written += save_figure(rate_metric_curves(rows, drawn), root / "rate_metrics")
        written += save_figure(metric_bars(rows, drawn), root / "metric_bars")
        figures |= {"metrics of each system": "metric_bars.png", "metrics against rate": "rate_metrics.png"}
    tables = {"At equal bytes": compared, "Each at its own bytes": own, "BD-rate": bd_rate_table(rows)}
    for name, found in zip(("equal_bytes", "own_bytes", "bd_rate"), tables.values(), strict=True):
        if found is not None:
            texts |= {f"{name}.md": found.to_markdown(), f"{name}.tex": found.to_latex()}
    texts["report.md"] = write_report(rows, replace(context, figures={**figures, **context.figures}), tables)
    for name, text in texts.items():
        write_whole(root / name, text)
    paths = (*written, *(root / name for name in (*texts, *figures.values())))
    return list(dict.fromkeys(paths))


def draw_image_panel(rows: Sequence[Measurement], image: str, folder: EvaluationFolder, panel: PanelOptions) -> bytes:
    """PNG, from the rows and the kept reconstructions of one image."""
    wanted = systems(rows) if panel.systems is None else panel.systems
    of_image = {row.system: row for row in rows if row.image == image}
    measured = [(of_image[name], folder.read_reconstruction(name, image)) for name in wanted if name in of_image]
    cells = panel_cells(folder.read_reconstruction(ORIGINAL, image), measured)
    return encode_panel(cells, zoom=panel.zoom, max_bytes=panel.max_bytes)


def _measured(
    system: CodecUnderTest,
    images: Sequence[EvaluationImage],
    metrics: Metrics,
    folder: EvaluationFolder,
    provenance: Provenance | None,
    ahead: SearchAhead | None = None,
    kept: KeptTrips | None = None,
) -> list[Measurement]:
    rows = evaluate_system(system, images, metrics, folder, provenance, ahead, kept)
    num_bytes = sum(row.num_bytes for row in rows if not row.is_set) / max(1, len(images))
    above = sum(row.max_bytes is not None and row.num_bytes > row.max_bytes for row in rows)
    remark = f" ({above} of {len(images)} above the limit)" if above else ""
    log.info("%s: %d images, %.0f bytes on average%s", system.name, len(images), num_bytes, remark)
    return rows
