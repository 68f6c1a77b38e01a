"""Pages say what rows say: generated tables, files and blocks; python -m experiments.pages writes them anew."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.pages.__main__ import main
from experiments.pages.blocks import NO_ROWS, TABLE, blocks_of, with_tables
from experiments.pages.claims import Claim, problems_of, unbacked
from experiments.pages.csv_tables import less_rival_table
from experiments.pages.drawing import draw
from experiments.pages.evidence import Comparison, compare
from experiments.pages.numbers import number, says
from experiments.pages.site import KODAK, ROOT, blocks_without_rows, declared
from hific.errors import OptionError
from hific.evaluation.equal_bytes import NEXT_SIZE, differences
from hific.evaluation.folder import read_rows, write_rows
from hific.evaluation.measurement import Measurement

# Whoever adds a block without rows says so here: how many each page has.
WITHOUT_ROWS = {
    "benchmarks/README.md": 1,
    "docs/first_photo.md": 1,
    "docs/mutants.md": 1,
    "docs/reliability.md": 1,
    "docs/scale.md": 1,
    "docs/train.md": 1,
    "experiments/campaign/README.md": 9,
    "experiments/compressnet_small/README.md": 2,
    "experiments/hific_small/README.md": 3,
    "experiments/table1_file_size/README.md": 2,
}


def row(system: str, image: str, num_bytes: int, psnr: float, limit: int | None = None) -> Measurement:
    return Measurement(system, "c", "", image, 80, 100, 8000, num_bytes, {"psnr": psnr}, max_bytes=limit)


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """A Parquet file: "ours" is 1 to 2 dB better than "avif" at its bytes, which are those between two sizes."""
    found = []
    for place, image in enumerate("abcdefgh"):
        found += [row("ours", image, 1000, 31.5 + place / 8), row("avif", image, 900, 30.0, 1000)]
        found += [row("avif" + NEXT_SIZE, image, 1100, 30.5, 1000)]
    write_rows(found, tmp_path / "measurements")
    return str(tmp_path / "measurements.parquet")


def test_every_generated_file_is_what_rows_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_pages_and_tables_are_those_that_are_declared() -> None:
    for page, tables in declared("tables.yaml").items():
        on_page = [block.label for block in blocks_of((ROOT / page).read_text(), page) if block.kind == TABLE]
        assert sorted(on_page) == sorted(tables)


def test_a_changed_digit_in_a_table_is_noticed() -> None:
    page = (ROOT / "README.md").read_text()
    entry = declared("tables.yaml")["README.md"]["kodak"]
    drawn = {"kodak": draw(entry, ROOT / "README.md", "kodak")}
    assert with_tables(page, drawn, "README.md") == page
    (block,) = (one for one in blocks_of(page, "README.md") if one.kind == TABLE)
    digit = re.search(r"\d(?=\])", block.body)
    assert digit is not None
    changed = str((int(digit[0]) + 1) % 10)
    wrong = page[: block.begin + digit.start()] + changed + page[block.begin + digit.end() :]
    assert with_tables(wrong, drawn, "README.md") == page != wrong


def test_a_reader_is_told_where_there_are_no_rows() -> None:
    assert {page: len(reasons) for page, reasons in blocks_without_rows().items()} == WITHOUT_ROWS
    for page in WITHOUT_ROWS:
        for block in blocks_of((ROOT / page).read_text(), page):
            if block.kind == NO_ROWS and "set, not" not in block.label:
                told = re.search(r"without\s+rows|[Ss]ingle\s+runs|one run|are gone|tries", block.body)
                assert told, f"{page}: {block.label}"


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("<!-- table: a -->\n", "the block 'table: a' has no end"),
        ("<!-- table: a -->\n<!-- end of no rows -->\n", "the block 'table: a' has no end"),
        (
            "<!-- table: a -->\n<!-- no rows: b -->\n<!-- end of no rows -->\n<!-- end of table -->\n",
            "'table: a' has no",
        ),
        ("<!-- end of table -->\n", "0 blocks begin and 1 end"),
        ("<!-- table: a -->\n<!-- end of table -->\n", r"x has the tables \['a'\], declared are \['b'\]"),
    ],
)
def test_blocks_that_are_not_closed_or_not_declared_are_told(page: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        with_tables(page, {"b": ""}, "x")


def test_a_table_says_what_it_was_drawn_from_and_who_is_better(rows: str, tmp_path: Path) -> None:
    lines = [{"label": "low", "system": "ours"}]
    entry = {"kind": "differences", "rows": rows, "rival": "avif", "at_equal_bytes": True}
    table = draw({**entry, "columns": ["bytes", "psnr"], "lines": lines}, tmp_path / "README.md", "x")
    assert re.search(r"\| low \| 1000 \| \*\*\+1\.\d\d\*\* \[\+1\.\d\d, \+\d\.\d\d\] \|", table)
    assert "(measurements.parquet), 8 images" in table
    with pytest.raises(OptionError, match="x: kind=pie is none of means"):
        draw({"kind": "pie", "lines": []}, tmp_path, "x")
    with pytest.raises(OptionError, match="no rows of 'theirs'"):
        draw({**entry, "columns": ["psnr"], "lines": [{"label": "low", "system": "theirs"}]}, tmp_path, "x")


def test_comparisons_are_those_of_the_evaluation() -> None:
    rows = read_rows(KODAK / "kodak.parquet")
    ours, avif = "hific-xgboost-low, xgboost", "avif <= hific-xgboost-low, xgboost"
    for one in differences([row for row in rows if row.system in (ours, avif, avif + NEXT_SIZE)], ours, avif):
        if one.metric in ("psnr", "lpips_squeeze", "ssimulacra2"):
            found = compare(Comparison("campaign/results/kodak.parquet", ours, avif, one.metric, True))
            assert (found.mean, found.low, found.high) == pytest.approx((one.mean, one.low, one.high))
            assert (found.n, found.verdict) == (one.n, one.verdict)


def test_a_rival_of_several_rates_is_a_curve(tmp_path: Path) -> None:
    write_rows([row("ours", "a", 200, 33.0), row("avif", "a", 100, 30.0)], tmp_path / "low")
    write_rows([row("avif", "a", 400, 34.0)], tmp_path / "high")
    low, high = (str(tmp_path / f"{name}.parquet") for name in ("low", "high"))
    found = compare(Comparison(low, "ours", "avif", "psnr", True, rival_rows=(low, high)))
    assert found.mean == pytest.approx(1.0), "halfway in log bytes between 30 and 34 dB"
    with pytest.raises(OptionError, match="no image has both"):
        compare(Comparison(low, "ours", "avif", "psnr", True))


def test_files_at_the_limits_of_several_systems_are_a_curve(tmp_path: Path) -> None:
    found = [row("ours", "a", 200, 33.0), row("avif <= x", "a", 100, 30.0), row("avif <= y, next size", "a", 400, 34.0)]
    write_rows([*found, row("webp <= x", "a", 200, 50.0)], tmp_path / "rows")
    asked = Comparison(str(tmp_path / "rows.parquet"), "ours", "avif <= *", "psnr", True)
    assert compare(asked).mean == pytest.approx(1.0), "halfway in log bytes between 30 and 34 dB"
    with pytest.raises(OptionError, match="are compared at equal bytes"):
        compare(replace(asked, at_equal_bytes=False))


def test_changes_of_bytes_are_in_percent_of_all(tmp_path: Path) -> None:
    found = []
    for image, ours, theirs in (("a", 90, 100), ("b", 240, 300)):
        found += [row("ours", image, ours, 30.0), row("theirs", image, theirs, 30.0)]
    write_rows(found, tmp_path / "rows")
    one = compare(Comparison(str(tmp_path / "rows.parquet"), "ours", "theirs", "bytes", relative=True))
    assert (one.mean, one.low, one.high) == pytest.approx((-17.5, -20.0, -10.0))
    assert (one.verdict, one.wins) == ("better", 2)


def test_a_line_less_a_curve_is_at_the_same_bpp(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "what,bpp,psnr\nAVIF q1 whole,0.1,30\nAVIF q2 whole,0.4,34\nAVIF q3 payload,0.2,50\nours,0.4,34.5\n"
    )
    rivals = {"file": str(path), "begins": "AVIF", "has": "whole"}
    line = {"label": "ours", "file": str(path), "where": {"what": "ours"}, "share": 0.5}
    header, body = less_rival_table("", [line], ["psnr:1"], rivals)
    assert header == ("", "bpp", "PSNR, dB") and body == [("ours", ".200", "+2.5")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It gains 1.5 dB.", ["1.5"]),
        ("By LPIPS it is .12, by conv4 .3.", [".12", ".3"]),
        ("It takes 19 to 28 % more.", ["19", "28"]),
        ("It is smaller on 20 of 24 images.", ["20 of 24 images"]),
        ("It is ahead of AVIF.", ["ahead"]),
        ("In PSNR it is better.", ["better"]),
        ("| low | 6276 | `.128` |", ["6276"]),
        ("`recipe.x=.5` in PSNR; conv4, JPEG2000 and [a link](0.5/psnr.md) in 3 rows.", []),
        ("It takes 3 hours and 5.9 M parameters.", []),
        ("It takes 8 s and 1.3 GiB.", ["8", "1.3"]),
        ("    a command --psnr 1.5 dB\n", []),
        ("<!-- no rows: a note -->\nIt gains 1.5 dB.\n<!-- end of no rows -->\n", []),
        ("<!-- table: t -->\n| low | 6276 |\n<!-- end of table -->\n", []),
    ],
)
def test_a_number_that_nothing_backs_is_found(text: str, found: list[str]) -> None:
    assert [one.partition(" in '")[0] for one in unbacked(f"# Page\n\n{text}\n", [])] == found


@pytest.mark.parametrize(
    ("name", "rival", "told"),
    [
        ("median", "avif", r"'median': 'median' is none of system, rival, mean"),
        ("rival", "", r"'rival': 'rival' is none of system, n$"),
        ("smallest mean", "avif", r"'smallest' is none of least, most"),
    ],
)
def test_a_statistic_that_there_is_not_is_told_with_those_that_there_are(
    name: str, rival: str, told: str, rows: str
) -> None:
    claim = Claim(text="by 1.5 dB", rows=rows, system="ours", rival=rival, metric="psnr", values=[name])
    with pytest.raises(OptionError, match=told):
        problems_of(claim, "Ahead by 1.5 dB.")


def test_numbers_are_rounded_as_they_are_stated() -> None:
    assert [number(0.1284, 3), number(-0.45, 2, True), number(-0.0004, 3), number(12.0, 0)] == [
        ".128",
        "-.45",
        ".000",
        "12",
    ]
    assert says(".13", 0.1284) and says("-.5", -0.53) and says("1,234", 1234.4) and says(".7", -0.74)
    assert not says("+.7", -0.74) and not says("-.7", 0.74) and not says(".13", 0.1361)
