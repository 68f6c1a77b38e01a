"""Rows survive both files unchanged, and files appear whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hific.evaluation.folder import read_rows, to_table, write_rows
from hific.evaluation.measurement import WHOLE_SET, Measurement, Provenance, byte_limits, systems
from hific.io import write_whole as writing

MakeRow = Callable[..., Measurement]

text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
value = st.floats(allow_nan=False, width=64)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    measured = draw(st.sets(st.sampled_from(["psnr", "ssim", "fid", "own metric"])))
    missing = draw(st.sets(st.sampled_from(["psnr", "ssim", "fid", "dists"]))) - measured
    return Measurement(
        system=draw(text),
        codec=draw(text),
        setting=draw(text),
        image=draw(text),
        width=draw(st.integers(0, 9999)),
        height=3,
        num_pixels=draw(st.integers(1, 10**12)),
        num_bytes=draw(st.integers(0, 10**12)),
        metrics={name: draw(value) for name in sorted(measured)},
        absent={name: draw(text.filter(bool)) for name in sorted(missing)},
        encode_seconds=draw(st.none() | value),
        max_bytes=draw(st.none() | st.integers(0, 10**9)),
        note=draw(text),
        provenance=Provenance(config=draw(text)),
    )


@settings(deadline=None)  # the first call loads the library
@given(rows=st.lists(measurements(), min_size=1, max_size=5))
def test_rows_come_back_from_parquet_and_csv(rows: list[Measurement], tmp_path_factory: pytest.TempPathFactory) -> None:
    for path in write_rows(rows, tmp_path_factory.mktemp("rows") / "measurements.parquet"):
        assert read_rows(path) == rows


def test_an_absent_metric_is_an_empty_cell_and_a_reason_never_a_number(make_row: MakeRow) -> None:
    rows = [make_row(metrics={"fid": 3.0}), make_row(metrics={}, absent={"fid": "no Inception weights"})]
    columns = to_table(rows).to_pydict()
    assert columns["fid"] == [3.0, None]
    assert columns["absent_fid"] == [None, "no Inception weights"]


def test_bpp_is_of_the_file_over_unpadded_pixels(make_row: MakeRow) -> None:
    row = make_row(num_bytes=500)
    assert row.bpp == 8 * 500 / 8000
    assert to_table([row]).to_pydict()["bpp"] == [row.bpp]


def test_infinity_is_kept(make_row: MakeRow, tmp_path: Path) -> None:
    for path in write_rows([make_row(metrics={"psnr": math.inf})], tmp_path / "rows"):
        assert read_rows(path)[0].metrics["psnr"] == math.inf


@pytest.mark.parametrize("name", ["bpp", "num_bytes", "absent_fid", "commit"])
def test_a_metric_cannot_take_the_name_of_a_column(name: str, make_row: MakeRow) -> None:
    with pytest.raises(ValueError, match=name):
        to_table([make_row(metrics={name: 1.0})])


def test_a_metric_is_measured_or_absent_never_both(make_row: MakeRow) -> None:
    with pytest.raises(ValueError, match="fid both"):
        make_row(metrics={"fid": 1.0}, absent={"fid": "why"})


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("image,psnr\na,1\n")
    with pytest.raises(ValueError, match=r"other\.csv holds no measurements"):
        read_rows(tmp_path / "other.csv")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.write_whole(tmp_path / "a.txt", "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(writing.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        writing.write_whole(tmp_path / "a.txt", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_byte_limits_are_of_the_images_not_of_the_set(make_row: MakeRow) -> None:
    rows = [make_row("a", "x", 10), make_row("a", "y", 20), make_row("b", "x", 5)]
    rows.append(replace(rows[0], image=WHOLE_SET, num_bytes=30))
    assert byte_limits(rows, "a") == {"x": 10, "y": 20}
    assert systems(rows) == ["a", "b"]
    with pytest.raises(ValueError, match="'c'"):
        byte_limits(rows, "c")
