"""The whole page: report.html filled, with style, script and data inside of it, and a policy that forbids all else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from hific.evaluation.bd_rate import bd_rate_table
from hific.evaluation.columns import metric_column, metric_names
from hific.evaluation.equal_bytes import without_next_sizes
from hific.evaluation.means import summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.assets import joined, legible, policy_source, template
from hific.evaluation.page.bars import bar_chart
from hific.evaluation.page.comparisons import RateGroup, decode_alike, rate_groups, references
from hific.evaluation.page.curves import COLORS, curves, marker
from hific.evaluation.page.data import as_json, page_data
from hific.evaluation.page.pictures import Pictures
from hific.evaluation.page.series import Series, chart_series
from hific.evaluation.page.tables import main_table, shown_metrics
from hific.evaluation.report import ReportContext, absent_table, protocol, provenance_facts, training_table, warnings_of
from hific.evaluation.tables import Table, mean_table, time_table

PicturesWithin = Callable[[int], Pictures]


def render_page(
    rows: Sequence[Measurement], context: ReportContext, pictures_within: PicturesWithin | None = None
) -> str:
    """`pictures_within`: gives the pictures that a number of characters has room for, all ASCII.

    Above `context.page_bytes` pictures are left out, and rows of single images where they alone are more; the page
    says so.
    """
    page, limit = _Page(rows, context), context.page_bytes or sys.maxsize
    bare = page.render(Pictures(), with_rows=True)
    with_rows = len(bare.encode()) <= limit
    if not with_rows:
        bare = page.render(Pictures(), with_rows=False)
    if pictures_within is None:
        return bare
    left = limit - len(bare.encode())
    # captions of the pictures take a little too
    return page.render(pictures_within(max(0, left - left // 50)), with_rows=with_rows)


class _Page:
    """All of a page that does not depend on its pictures."""

    def __init__(self, rows: Sequence[Measurement], context: ReportContext) -> None:
        shown = without_next_sizes(rows)
        self.rows = [row for row in shown if not row.is_set]
        self.metrics = shown_metrics(shown)
        summaries = [one for one in summarize(shown) if one.rows]
        self.series = chart_series(summaries)
        groups = rate_groups(rows)
        alike = decode_alike(shown)
        if alike:  # only bytes differ: each is a line, and metrics are told once
            groups = [RateGroup((one.system,), ()) for one in summaries]
        found = [] if alike else references(rows, groups)
        compared = [] if alike else self.metrics
        main = main_table(summaries, groups, found, compared)
        # that of which classical codecs have the bytes, else the first
        self.first_shown = next((group.leaders[0] for group in groups if group.leaders and group.matched), "")
        further = [name for name in metric_names(shown) if name not in self.metrics]
        self.parts: dict[str, Any] = {
            "context": context,
            "num_images": len({row.image for row in self.rows}),
            "protocol": protocol(shown, context.data),
            "warnings": warnings_of(shown, context.warnings),
            "training": _filled(training_table(context.training)),
            "main": main,
            "same_pixels": _metrics_of_first(shown, [*self.metrics, *further]) if alike else None,
            "metrics": [metric_column(name) for name in compared],
            "curves": [curves(self.series, self.rows, name) for name in compared],
            "legend": [_legend(one) for one in self.series],
            "bars": [bar_chart(self.series, main, name) for name in compared],
            "bd_rates": bd_rate_table(shown),
            "further": mean_table(shown, further) if further and not alike else None,
            "absent": _filled(absent_table(shown)),
            "seconds": _filled(time_table(shown)),
            "provenance": provenance_facts(rows, context.command),
        }

    def render(self, pictures: Pictures, *, with_rows: bool) -> str:
        style, script = joined("base.css", "report.css"), joined("page.js", "report.js")
        data = page_data(self.rows, self.series, self.metrics, pictures, self.first_shown, with_rows=with_rows)
        text = template("report.html").render(
            **self.parts,
            pictures=pictures,
            with_rows=with_rows,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; style-src {policy_source(style)}; "
            f"script-src {policy_source(script)}; base-uri 'none'; form-action 'none'",
            data=as_json(data),
        )
        return legible(text)


def _metrics_of_first(rows: Sequence[Measurement], metrics: Sequence[str]) -> Table:
    """Of the first system, a line each."""
    means = mean_table([row for row in rows if row.system == rows[0].system], metrics)
    places = [means.header.index(metric_column(name).heading) for name in metrics]
    body = tuple((means.header[place], means.body[0][place]) for place in places)
    return Table(("metric", "mean over images"), body, means.notes)


def _legend(series: Series) -> dict[str, Any]:
    return {
        "number": series.number,
        "name": series.name,
        "color": series.number % COLORS,
        "marker": marker(series.number),
        "is_learned": series.is_learned,
    }


def _filled(table: Table | None) -> Table | None:
    return table if table is not None and table.body else None
