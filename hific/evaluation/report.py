"""report.md: what was trained on what for how long, the tables, what is absent and why, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hific.evaluation.columns import measured_key_metrics, metric_column, metric_names
from hific.evaluation.means import summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.tables import Table, image_table, main_table, mean_table, time_table


def training_warnings(training: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A size that is no result, what a run itself says must not be missed (its `warnings`), and a perceptual term that
    it lacked."""
    tiny = ", ".join(label for label, info in training.items() if info.get("size") == "tiny")
    size = [f"{tiny}: size tiny, a network of minutes that shows that everything works, not a result."] if tiny else []
    found = [f"{label}: {text}" for label, info in training.items() for text in info.get("warnings", ())]
    off = [label for label, info in training.items() if info.get("perceptual_term") is False]
    return [*size, *found, *(f"{label} was trained without a perceptual term." for label in off)]


@dataclass(frozen=True)
class ReportContext:
    """What the rows do not say.

    Args:
        title: the first line.
        data: the images, such as "kodak, test split".
        training: of each checkpoint's label, plain values by name.
        warnings: sentences a reader must not miss.
        figures: file names beside the report, by caption.
        command: what was typed, free of paths.
        question: of a study, what it asks.
        tables: of a study, by their names.
        page_bytes: of report.html at most, pictures beyond are left out; None: no limit.
    """

    title: str
    data: str = ""
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    question: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)
    page_bytes: int | None = 12_000_000


def write_report(
    rows: Sequence[Measurement], context: ReportContext, comparisons: Mapping[str, Table | None] | None = None
) -> str:
    """Markdown. `comparisons`: of systems with each other, by their headings."""
    every = metric_names(rows)
    key = measured_key_metrics(rows)
    others = [name for name in every if name not in key]
    sections = [
        f"# {context.title}",
        "\n".join(f"> **Warning:** {text}  " for text in warnings_of(rows, context.warnings)),
        _section("What was trained", training_table(context.training)),
        f"## Results\n\n{protocol(rows, context.data)}\n\n{main_table(rows).to_markdown()}",
        *(_section(heading, table) for heading, table in (comparisons or {}).items()),
        "\n\n".join(f"![{caption}]({name})" for caption, name in context.figures.items()),
        _section("Further metrics", mean_table(rows, others) if others else None),
        _section("Absent metrics", absent_table(rows)),
        _section("Seconds an image", time_table(rows)),
        f"## Each image\n\n<details><summary>all rows</summary>\n\n{image_table(rows, key).to_markdown()}\n</details>",
        _provenance(rows, context.command),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _section(heading: str, table: Table | None) -> str:
    return f"## {heading}\n\n{table.to_markdown()}" if table and table.body else ""


def warnings_of(rows: Sequence[Measurement], given: Sequence[str]) -> list[str]:
    """The given ones, and what notes of the rows say."""
    return [*given, *(f"{one.system}: {note}." for one in summarize(rows) for note in one.notes)]


def training_table(training: Mapping[str, Mapping[str, Any]]) -> Table | None:
    keys = list(dict.fromkeys(key for info in training.values() for key in info if key != "warnings"))
    body = tuple((key, *(_plain(info.get(key)) for info in training.values())) for key in keys)
    return Table(("", *training), body)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    return str(value)


def protocol(rows: Sequence[Measurement], data: str) -> str:
    images = len({row.image for row in rows if not row.is_set})
    preprocessing = ", ".join(sorted({row.preprocessing for row in rows if row.preprocessing}))
    limited = any(row.max_bytes is not None for row in rows)
    sentences = [
        f"{f'{data}: ' if data else ''}{images} images. Means over images; bytes are of the whole file, "
        "bpp is 8 bytes / unpadded pixels; metrics are taken on the decoded 8-bit image.",
        f"The reference is the image after {preprocessing}." if preprocessing else "",
        "Classical codecs are coded at the largest size not above the limit of each image; where a format cannot go so "
        "low at full size it is coded at 1/2 or 1/4 and scaled back with a Lanczos filter (downscaling: mean divisor)."
        if limited
        else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def absent_table(rows: Sequence[Measurement]) -> Table | None:
    places: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in rows:
        for name, reason in row.absent.items():
            places.setdefault((name, reason), set()).add((row.system, row.image))
    body = tuple((metric_column(name).title, reason, str(len(where))) for (name, reason), where in places.items())
    return Table(("metric", "reason", "rows"), body)


def provenance_facts(rows: Sequence[Measurement], command: str = "") -> list[tuple[str, str]]:
    """Name and value; a name comes again where rows differ."""
    facts = [("command", command)] if command else []
    for name in ("commit", "device", "libraries", "config"):
        facts += [(name, value) for value in sorted({getattr(row.provenance, name) for row in rows} - {""})]
    versions = {
        f"{row.codec} {row.fingerprint[:8] or row.codec_version}"
        for row in rows
        if row.fingerprint or row.codec_version
    }
    return [*facts, ("codecs", ", ".join(sorted(versions)))] if versions else facts


def _provenance(rows: Sequence[Measurement], command: str) -> str:
    facts = provenance_facts(rows, command)
    lines = [f"* {name}: {value}" if name == "codecs" else f"* {name}: `{value}`" for name, value in facts]
    return "## Provenance\n\n" + "\n".join(lines) if lines else ""
