"""What the page of an evaluation compares, marks and joins: which systems are at the same bytes, and who is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hific.evaluation.equal_bytes import NEXT_SIZE, differences, own_bytes_table
from hific.evaluation.means import summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.comparisons import decode_alike, rate_groups, references
from hific.evaluation.page.document import render_page
from hific.evaluation.page.series import chart_series
from hific.evaluation.page.tables import main_table, signed
from hific.evaluation.report import ReportContext

MakeRow = Callable[..., Measurement]
IMAGES = ("a", "b", "c")


def test_systems_at_the_same_bytes_stand_together(rows: list[Measurement], make_row: MakeRow) -> None:
    control = [replace(row, system="sae, tables, random switches") for row in rows if row.system == "sae, tables"]
    other = [make_row("gc, tables", image, 700, fingerprint="cd") for image in IMAGES]
    short = [make_row("avif", image, 990, max_bytes=1000) for image in IMAGES[:2]]  # no file of the third
    found = rate_groups([*rows, *control, *other, *short])
    assert [(one.leaders, one.matched) for one in found] == [
        (("sae, tables", "sae, tables, random switches"), ("jpeg", "webp", "avif")),
        (("gc, tables",), ()),
    ]


def test_differences_are_those_of_the_tables_in_both_directions(rows: list[Measurement]) -> None:
    found = {one.label: one.of for one in references(rows, rate_groups(rows))}
    assert list(found) == ["jpeg", "webp", "sae, tables"]
    of_jpeg = {one.metric: one for one in differences(rows, "sae, tables", "jpeg")}
    assert found["jpeg"] == {"sae, tables": of_jpeg}
    mirrored = found["sae, tables"]["jpeg"]["psnr"]
    assert (mirrored.mean, mirrored.low, mirrored.high) == tuple(
        -value for value in (of_jpeg["psnr"].mean, of_jpeg["psnr"].high, of_jpeg["psnr"].low)
    )
    assert of_jpeg["psnr"].verdict == "worse" and mirrored.verdict == "better"


def test_equal_bytes_need_no_next_size(rows: list[Measurement]) -> None:
    own = [row for row in rows if row.system == "sae, tables"]
    control = [replace(row, system="control", metrics={"psnr": row.metrics["psnr"] - 1}) for row in own]
    (found,) = references([*own, *control], rate_groups([*own, *control]))
    assert found.label == "sae, tables" and found.of["control"]["psnr"].mean == pytest.approx(-1)
    assert found.of["control"]["psnr"].verdict == "worse"


def test_without_pairs_there_are_no_differences_and_the_page_says_so(make_row: MakeRow) -> None:
    rows = [make_row(system, image, size) for system, size in (("a", 10), ("b", 20)) for image in IMAGES]
    assert not references(rows, rate_groups(rows))
    assert "both_sides=true" in render_page(rows, ReportContext("T"))


def test_variants_are_held_against_the_first_each_at_its_own_bytes(make_row: MakeRow) -> None:
    sizes = {"hific": (100, 30.0), "leaky": (110, 29.0), "noise": (90, 30.0)}
    rows = [
        make_row(system, image, size, fingerprint=system, metrics={"psnr": psnr + place})
        for system, (size, psnr) in sizes.items()
        for place, image in enumerate(IMAGES)
    ]
    (found,) = references(rows, rate_groups(rows))
    assert (found.label, found.at_equal_bytes, list(found.of)) == ("hific", False, ["leaky", "noise"])
    assert found.of["leaky"]["psnr"].mean == -1 and found.of["leaky"]["psnr"].verdict == "worse"
    (group,) = main_table(summarize(rows), rate_groups(rows), [found], ["psnr"]).groups
    assert [line.more_bytes for line in group.lines] == ["", "+10.0 %", "−10.0 %"]
    page = render_page(rows, ReportContext("T"))
    assert "Each at its own bytes, compared with" in page and "both_sides" not in page and "+10.0 %" in page
    table = own_bytes_table(rows)
    assert table is not None and [line[:2] for line in table.body] == [("leaky", "+10.0 %")], "noise is equal"
    bare = [replace(row, num_bytes=100, metrics={}) for row in rows]
    assert not references(bare, rate_groups(bare)) and render_page(bare, ReportContext("T"))
    codec = make_row("jpeg", "a", 50, metrics={"psnr": 20.0})
    assert own_bytes_table([*rows, codec]) is None and not references([*rows, codec], rate_groups([*rows, codec]))


def test_where_all_decode_to_the_same_pixels_metrics_are_told_once(make_row: MakeRow) -> None:
    metrics = {"a": {"psnr": 30.0, "estimated_bpp": 0.2}, "b": {"psnr": 31.0, "estimated_bpp": 0.3}}
    rows = [
        make_row(system, image, size, fingerprint="ab", metrics=values)
        for system, size in (("tables", 1000), ("trees", 900), ("more trees", 900))
        for image, values in metrics.items()
    ]
    page = render_page(rows, ReportContext("T"))
    assert decode_alike(rows) and "the same pixels" in page and page.count(">30.50<") == 1
    assert "Few images:" in page  # whatever stands below has intervals too
    assert 'id="bars"' not in page and 'id="curves"' not in page and "both_sides" not in page
    assert page.count(" bpp</span>") == 0, "one block, also where two have equal bytes"
    other = [*rows[:-1], replace(rows[-1], metrics={"psnr": 31.1})]
    assert not decode_alike(other) and 'id="bars"' in render_page(other, ReportContext("T"))
    assert not decode_alike(rows[:2]) and not decode_alike([*rows, make_row("jpeg", "a", 900, metrics=metrics["a"])])


def test_the_best_is_of_its_block_and_losses_are_marked_as_wins_are(rows: list[Measurement]) -> None:
    groups = rate_groups(rows)
    shown = [row for row in rows if NEXT_SIZE not in row.system]
    table = main_table(summarize(shown), groups, references(rows, groups), ["psnr", "lpips_alex"])
    (group,) = table.groups
    psnr, lpips = zip(*(line.cells for line in group.lines), strict=True)
    assert [cell.is_best for cell in psnr] == [False, True, True] and lpips[0].is_best
    first = [cell.differences[0] for cell in group.lines[0].cells]
    assert [(one.mark, one.words) for one in first if one] == [("✗", "worse"), ("✓", "better")]
    assert [(one.label, one.better, one.worse) for one in table.scores][:2] == [("jpeg", 1, 1), ("webp", 1, 1)]


def test_where_systems_differ_in_bytes_the_smallest_is_marked_and_what_is_equal_is_not(make_row: MakeRow) -> None:
    rows = [make_row(system, num_bytes=size) for system, size in (("a", 20), ("b", 10))]
    (group,) = main_table(summarize(rows), rate_groups(rows), [], ["psnr"]).groups
    assert not group.title and [line.is_smallest for line in group.lines] == [False, True]
    assert not any(cell.is_best for line in group.lines for cell in line.cells)


def test_an_interval_shows_on_which_side_of_zero_it_is(make_row: MakeRow) -> None:
    values = [("a", 0.5), ("b", 0.5002)]
    rows = [make_row(name, image, 10, metrics={"ssim": value}) for name, value in values for image in IMAGES]
    groups = rate_groups(rows)
    table = main_table(summarize(rows), groups, references(rows, groups), ["ssim"])
    (cell,) = table.groups[0].lines[1].cells
    (one,) = cell.differences
    assert one is not None and one.verdict == "better" and one.interval == "[+0.0002, +0.0002]"
    assert signed(-0.0004, 3) == "0.000" and signed(-1, 1, plus=True) == "−1.0"


def test_rates_of_one_system_are_a_line_and_variants_are_not(make_row: MakeRow) -> None:
    labels = ["hific-low, knn", "hific-high, knn", "side_3, knn", "side_5, knn", "low, tables"]
    rows = [make_row(label, codec="hific-low", fingerprint=str(number)) for number, label in enumerate(labels)]
    rows += [make_row(f"jpeg <= {label}", codec="jpeg", max_bytes=9) for label in labels[:2]]
    found = [(one.name, one.is_learned, len(one.members)) for one in chart_series(summarize(rows))]
    assert found == [
        ("hific, knn", True, 2),
        ("side_3, knn", True, 1),
        ("side_5, knn", True, 1),
        ("hific, tables", True, 1),
        ("jpeg", False, 2),
    ]
