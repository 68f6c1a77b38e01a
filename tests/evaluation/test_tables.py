"""Tables say what the rows say: means over present values, absent metrics with their reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hific.evaluation.columns import METRIC_COLUMNS, metric_names
from hific.evaluation.means import summarize
from hific.evaluation.measurement import WHOLE_SET, Measurement
from hific.evaluation.tables import Table, image_table, main_table, mean_table, time_table
from hific.metrics.default import default_image_metrics

MakeRow = Callable[..., Measurement]


def test_a_mean_is_over_present_values_and_says_how_many(make_row: MakeRow) -> None:
    rows = [
        make_row(image="a", num_bytes=100, metrics={"ms_ssim": 0.5}),
        make_row(image="b", num_bytes=300, metrics={}, absent={"ms_ssim": "below 161 pixels"}),
        make_row(image="c", num_bytes=200, metrics={"ms_ssim": 0.7}),
    ]
    mean = summarize(rows)[0].metric("ms_ssim")
    assert (mean.value, mean.n, mean.reasons) == (pytest.approx(0.6), 2, ("below 161 pixels",))
    table = mean_table(rows, ["ms_ssim"])
    assert table.body[0][:3] == ("jpeg", "3", "200")
    assert table.body[0][-1] == "0.600 (n=2) [1]"
    assert table.notes == ("[1] absent: below 161 pixels",)


def test_a_system_without_some_of_the_images_says_so(make_row: MakeRow) -> None:
    rows = [make_row(image=image) for image in "abc"] + [make_row(system="webp", image="a")]
    table = mean_table(rows, ["psnr"])
    assert [row[-1] for row in table.body] == ["", "absent on 2 of 3 images, which its means leave out"]


def test_means_are_over_images_whatever_their_size(make_row: MakeRow) -> None:
    """Not the PSNR of the mean error, and not all bits over all pixels."""
    small, large = {"width": 10, "height": 10, "num_pixels": 100}, {"width": 80, "height": 50, "num_pixels": 4000}
    rows = [
        make_row(image="a", num_bytes=100, metrics={"psnr": 20.0}, **small),
        make_row(image="b", num_bytes=500, metrics={"psnr": 40.0}, **large),
    ]
    (summary,) = summarize(rows)
    assert summary.metric("psnr").value == 30.0
    assert summary.mean(lambda row: row.bpp) == 4.5
    assert mean_table(rows, ["psnr"]).body[0][2:] == ("300", "4.5000", "1.00", "30.00")


def test_an_absent_metric_is_never_a_number(make_row: MakeRow) -> None:
    rows = [make_row("a", metrics={}, absent={"fid": "no Inception weights"}), make_row("b", metrics={})]
    table = mean_table(rows, ["fid"])
    assert [row[-1] for row in table.body] == ["absent [1]", ""]
    assert "[1] absent: no Inception weights" in table.to_markdown()


def test_a_metric_of_sets_comes_from_the_row_of_the_set_which_is_in_no_mean(make_row: MakeRow) -> None:
    rows = [make_row(image=name, num_bytes=size) for name, size in (("a", 100), ("b", 200))]
    rows.append(replace(rows[0], image=WHOLE_SET, num_bytes=300, num_images=2, metrics={"fid": 40.0}))
    table = mean_table(rows, ["psnr", "fid"])
    assert table.body == (("jpeg", "2", "150", "0.1500", "1.00", "25.00", "40.0"),)


def test_an_absent_metric_of_a_set_is_of_no_image(make_row: MakeRow) -> None:
    row = make_row()
    of_set = replace(row, image=WHOLE_SET, num_images=5, metrics={"kid": 1.0}, absent={"fid": "too few"})
    (summary,) = summarize([row, of_set])
    assert (summary.metric("kid").value, summary.metric("kid").n) == (1.0, 5)
    absent = summary.metric("fid")
    assert (absent.value, absent.n, absent.reasons) == (None, 0, ("too few",))


def test_notes_say_for_how_many_images_they_hold(make_row: MakeRow) -> None:
    rows = [make_row("x", "a", note="above the byte limit"), make_row("x", "b")]
    rows += [make_row("y", image, note="bound") for image in "ab"]
    assert [row[-1] for row in mean_table(rows, ["psnr"]).body] == ["above the byte limit (1 of 2)", "bound"]
    assert "note" not in mean_table([make_row()], ["psnr"]).header


def test_notes_of_a_rate_search_always_have_their_number(make_row: MakeRow) -> None:
    rows = [make_row("jpeg", image, max_bytes=5, note="above the byte limit") for image in ("a", "b")]
    assert summarize(rows)[0].notes == ("above the byte limit (2 of 2)",)


def test_what_no_system_has_is_no_column_of_the_main_table(make_row: MakeRow) -> None:
    rows = [make_row("a", absent={"lpips_alex": "why", "ms_ssim": "small"}), make_row("b", metrics={"ms_ssim": 0.5})]
    table = main_table(rows)
    assert [name.split(",")[0] for name in table.header[5:]] == ["PSNR", "MS-SSIM ↑"]
    assert table.notes[-1].endswith("Further metrics of the report: LPIPS-Alex.")
    assert main_table([make_row()]).notes == ()


def test_each_image_has_its_systems_together(make_row: MakeRow) -> None:
    rows = [make_row(system, image) for system in ("x", "y") for image in ("a", "b")]
    assert [row[:2] for row in image_table(rows, ["psnr"]).body] == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]


def test_seconds_that_were_not_measured_are_left_out(make_row: MakeRow) -> None:
    rows = [make_row(image="a", encode_seconds=1.0), make_row(image="b", encode_seconds=2.0)]
    assert time_table(rows).body == (("jpeg", "1.500", ""),)


def test_markdown_escapes_what_would_end_a_cell() -> None:
    lines = Table(("a", "b"), (("x|y", "1.5"),)).to_markdown().splitlines()
    assert lines == ["| a | b |", "| --- | ---: |", r"| x\|y | 1.5 |"]


def test_latex_escapes_what_would_not_compile() -> None:
    text = Table(("PSNR, dB ↑", "50 %"), (("sae_spn <= a", "-1"),), ("[1] absent: x_y",)).to_latex()
    assert r"PSNR, dB $\uparrow$ & 50 \% \\" in text
    assert r"sae\_spn \textless{}= a & -1 \\" in text
    assert text.startswith("\\begin{tabular}{lr}\n\\toprule\n") and r"absent: x\_y" in text


def test_csv_has_header_and_body() -> None:
    assert Table(("a, b", "c"), (("x", "1.5"),), ("a note",)).to_csv() == '"a, b",c\nx,1.5\n'


def test_arrows_agree_with_the_metrics() -> None:
    for metric in default_image_metrics(None):
        assert METRIC_COLUMNS[metric.name].higher_is_better == metric.higher_is_better


def test_metrics_come_in_a_fixed_order_and_unknown_ones_last(make_row: MakeRow) -> None:
    row = make_row(metrics={"own": 1.0, "ssim": 1.0}, absent={"psnr": "why"})
    assert metric_names([row]) == ["psnr", "ssim", "own"]
