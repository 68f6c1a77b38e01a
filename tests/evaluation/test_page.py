"""report.html is a function of rows and kept pictures, tells the truth about both, and no name can break out of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hific.errors import OptionError
from hific.evaluation.__main__ import main
from hific.evaluation.command import typed_command
from hific.evaluation.equal_bytes import NEXT_SIZE
from hific.evaluation.folder import ORIGINAL, EvaluationFolder, write_rows
from hific.evaluation.means import summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.assets import legible
from hific.evaluation.page.curves import Scale, curves
from hific.evaluation.page.data import as_json
from hific.evaluation.page.document import render_page
from hific.evaluation.page.pictures import embed_pictures
from hific.evaluation.page.redraw import add_to_page, read_context, write_page
from hific.evaluation.page.series import chart_series
from hific.evaluation.report import ReportContext
from hific.evaluation.tables import Table

MakeRow = Callable[..., Measurement]
IMAGES = ("a", "b", "c")
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'\udce9\x00{{ 7 * 7 }}"
VOID = {"meta", "link", "img", "input", "br"}


class Elements(HTMLParser):
    """Names and attributes of all elements; every one that is opened must be closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> in {self._open}"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.text += data


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.fixture
def folder(rows: list[Measurement], picture: np.ndarray, tmp_path: Path) -> EvaluationFolder:
    """With the pictures of two images."""
    kept = EvaluationFolder(tmp_path, keep={"a", "b"})
    for image, pixels in (("a", picture), ("b", picture[::-1].copy())):
        for number, system in enumerate((ORIGINAL, "sae, tables", "jpeg", f"jpeg{NEXT_SIZE}")):
            kept.put_reconstruction(system, image, pixels // (number + 1))
    write_rows(rows, tmp_path / "measurements.parquet")
    return kept


def test_a_curve_has_a_series_a_system_and_a_marker_a_rate(make_row: MakeRow) -> None:
    rows = [make_row("jpeg <= a", num_bytes=100, max_bytes=100), make_row("jpeg <= b", num_bytes=200, max_bytes=200)]
    rows = [replace(row, codec="jpeg") for row in rows] + [make_row("x", num_bytes=150), make_row("none", metrics={})]
    drawn = Elements(curves(chart_series(summarize(rows)), rows, "psnr")).found
    assert sum(tag == "svg" for tag, _ in drawn) == 4  # wide and narrow, around means and around images
    assert sum(attributes.get("class") == "series series-0 classical" for _, attributes in drawn) == 4
    assert sum(attributes.get("class") == "marker" for _, attributes in drawn) == 4 * 3
    assert sum(attributes.get("class") == "line" for _, attributes in drawn) == 4
    wide = [replace(row, num_bytes=row.num_bytes * factor) for row in rows for factor in (1, 100)]
    wide = [replace(row, system=f"{row.system} {number}") for number, row in enumerate(wide)]
    assert 'data-log="1"' in curves(chart_series(summarize(wide)), wide, "psnr")
    assert Scale(1, 100, 0, 10, is_log=True)(10) == pytest.approx(5)


def test_bd_rates_are_shown_with_the_reason_of_each_that_is_missing(make_row: MakeRow) -> None:
    """Half of the bytes for equal PSNR; MS-SSIM of one of the two alone is compared with nothing."""
    rows = [
        make_row(
            f"{codec} <= {number}",
            "a",
            num_bytes * share,
            codec=codec,
            max_bytes=1,
            metrics={"psnr": 25.0 + number} | more,
        )
        for codec, share, more in (("avif", 2, {}), ("webp", 1, {"ms_ssim": 0.9}))
        for number, num_bytes in enumerate((1000, 2000, 4000, 8000))
    ]
    text = Elements(render_page(rows, ReportContext("T"))).text
    assert "BD-rate" in text and "-50.0 %" in text and "absent: the anchor has 0 rates" in text
    assert "BD-rate" not in Elements(render_page(rows[:3], ReportContext("T"))).text


def test_nothing_of_a_name_becomes_an_element(make_row: MakeRow, picture: np.ndarray, tmp_path: Path) -> None:
    rows = [
        make_row(HOSTILE, HOSTILE, setting=HOSTILE, note=HOSTILE, absent={"fid": HOSTILE}, codec_version=HOSTILE),
        make_row("jpeg", HOSTILE),
    ]
    context = ReportContext(
        HOSTILE,
        HOSTILE,
        {HOSTILE: {HOSTILE: HOSTILE}},
        [HOSTILE],
        {},
        HOSTILE,
        HOSTILE,
        {HOSTILE: Table(("",), (("",),))},
    )
    plain = [make_row("s", "i", setting="q", note="n", absent={"fid": "r"}, codec_version="v"), make_row("jpeg", "i")]
    known = ReportContext("t", "d", {"l": {"k": "v"}}, ["w"], {}, "c", "q", {"n": Table(("",), (("",),))})
    hostile, harmless = Elements(render_page(rows, context)), Elements(render_page(plain, known))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in harmless.found]
    assert [set(attributes) for _, attributes in hostile.found] == [set(attributes) for _, attributes in harmless.found]
    page = render_page(rows, context)
    page.encode()  # no half of a pair is left
    assert "49" not in hostile.text.replace("{{ 7 * 7 }}", "") and "\x00" not in page
    shown = HOSTILE.replace("\udce9", "\ufffd")
    assert data_of(page)["images"] == [shown] and data_of(page)["systems"][0]["name"] == shown


def test_json_inside_of_html_has_no_markup() -> None:
    text = as_json({"name": "</script><!--&\u2028'"})
    assert not set("<>&'\u2028") & set(text) and json.loads(text)["name"] == "</script><!--&\u2028'"
    assert legible("a\udcffb\x07c\n\t") == "a\ufffdb\ufffdc\n\t"


def test_the_page_forbids_every_request(rows: list[Measurement], folder: EvaluationFolder) -> None:
    page = render_page(rows, ReportContext("T"), lambda most: embed_pictures(rows, folder, most))
    elements = Elements(page).found
    (policy,) = [one["content"] for _, one in elements if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy and policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    addresses = [one[name] for _, one in elements for name in ("src", "href", "action", "style") if name in one]
    assert all(str(address).startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_pictures_are_exactly_what_was_decoded_and_each_is_there_once(
    rows: list[Measurement], folder: EvaluationFolder, picture: np.ndarray
) -> None:
    folder.put_reconstruction("webp", "a", picture // 3)  # as jpeg
    found = embed_pictures(rows, folder, 10**6)
    assert [one.name for one in found.images] == ["a", "b"] and found.max_deviation == 0 and not found.left_out
    first = found.images[0]
    assert (first.width, first.height) == (90, 60)
    assert list(first.pictures) == [ORIGINAL, "sae, tables", "jpeg", "webp"]
    assert first.pictures["jpeg"] == first.pictures["webp"] and len(found.uris) == 6
    head, _, body = found.uris[first.pictures["jpeg"]].partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(BytesIO(base64.b64decode(body))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), picture // 3)


def test_a_page_keeps_below_its_size_and_says_what_it_left_out(
    rows: list[Measurement], folder: EvaluationFolder, tmp_path: Path
) -> None:
    noise = [np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8) for seed in range(4)]
    for image, (original, decoded) in (("a", noise[:2]), ("b", noise[2:])):
        folder.put_reconstruction(ORIGINAL, image, original)
        folder.put_reconstruction("sae, tables", image, decoded)
        folder.reconstruction_path("jpeg", image).unlink()
    bare = len(render_page(rows, ReportContext("T")).encode())
    sizes = {}
    for room in (200_000, 100_000, 45_000, 1_000):
        (path, _) = write_page(rows, ReportContext("T", page_bytes=bare + room), tmp_path)
        page = path.read_text()
        assert path.stat().st_size <= bare + room
        sizes[room] = (len(data_of(page)["pictures"]["images"]), "Left out" in page, "image/webp" in page)
        assert ("AVIF" in page) == ("image/avif" in page)
    assert sizes[200_000] == (2, False, True) and sizes[1_000] == (0, True, False)
    assert sizes[100_000] == (2, False, False) and sizes[45_000] == (1, True, False)


def test_rows_of_images_are_left_out_where_they_alone_are_too_many(make_row: MakeRow) -> None:
    rows = [make_row(image=f"image {number}") for number in range(3000)]
    whole, short = (render_page(rows, ReportContext("T", page_bytes=limit)) for limit in (10**7, 100_000))
    assert len(data_of(whole)["rows"]) == 3000 and not data_of(short)["rows"]
    assert len(short.encode()) <= 100_000 < len(whole.encode()) and "rows are in measurements.csv" in short


def test_the_page_is_drawn_again_from_its_folder(
    rows: list[Measurement], folder: EvaluationFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = {"sae": {"steps": 3, "rates": [1, 2]}}
    context = ReportContext("Title", "kodak", training, ["Beware."], {"P": "panel.png"}, "python evaluate.py")
    path, _ = write_page(rows, context, tmp_path)
    first = path.read_bytes()
    path.unlink()
    main([str(tmp_path)])
    assert path.read_bytes() == first and capsys.readouterr().out.strip() == str(path)
    main([str(tmp_path / "measurements.parquet"), "--title", "Other", "--output", str(tmp_path / "x.html")])
    assert "<h1>Other</h1>" in (tmp_path / "x.html").read_text()
    main([str(tmp_path), "--max-megabytes", "0.05"])
    assert path.stat().st_size < len(first)
    add_to_page(
        tmp_path, question="Why?", tables={"ablation": Table(("variant", "bytes"), (("k", "12"),), ("A note",))}
    )
    main([str(tmp_path)])
    text = Elements(path.read_text()).text
    for expected in ("Title", "Why?", "ablation", "A note", "Beware.", "python evaluate.py", "1, 2"):
        assert expected in text


def test_a_folder_without_rows_or_with_another_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"name a folder that evaluate\.py wrote"):
        main([str(tmp_path)])
    with pytest.raises(SystemExit, match="a number above 0"):
        main([str(tmp_path), "--max-megabytes", "0"])
    for text in ("no json", "[]", '{"title": "a", "color": 1}', '{"title": "a", "tables": {"b": {}}}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(OptionError, match=r"report\.json is not what"):
            read_context(tmp_path / "report.json")
    assert read_context(tmp_path / "none.json") == ReportContext("Measurements")


def test_the_same_rows_give_the_same_page(rows: list[Measurement]) -> None:
    assert render_page(rows, ReportContext("T")) == render_page(rows, ReportContext("T"))
    assert Elements(render_page([], ReportContext("Nothing"))).text.count("Nothing") == 2
    infinite = [replace(row, metrics={"psnr": float("inf")}) for row in rows]
    assert data_of(render_page(infinite, ReportContext("T")))["rows"][0][-1] is None


def test_the_command_has_no_folders_and_no_place_of_results() -> None:
    typed = ["checkpoint=[/x/y/last.ckpt,b/c.ckpt]", "data.root=~/kodak/", "output_dir=/r", "hydra.run.dir=/q"]
    command = typed_command(["/home/a/evaluate.py", *typed, "+data/base=k", "title=Its name"])
    assert command == "python evaluate.py 'checkpoint=[last.ckpt,c.ckpt]' data.root=kodak +data/base=k 'title=Its name'"
    assert typed_command(["/usr/bin/pytest", "-q"]) == ""


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_can_be_told_from_what_is_behind_them(scheme: str) -> None:
    """As WCAG 2.2, AA: 4.5 for text, 3 for marks, lines and frames of controls."""
    style = resources.files("hific.evaluation.page").joinpath("base.css").read_text()
    roots = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", roots[scheme == "dark"]))
    text = [(ink, paper) for ink in ("ink", "soft", "accent") for paper in ("paper", "surface")]
    text += [(name, f"{name}-paper") for name in ("better", "worse", "level", "warning")]
    text += [("better", "paper")]
    marks = [(f"series-{number}", paper) for number in range(10) for paper in ("paper", "surface")]
    marks += [("soft", "paper"), ("accent", "paper"), ("warning-line", "paper")]
    for pairs, least in ((text, 4.5), (marks, 3.0)):
        found = {pair: contrast(colors[pair[0]], colors[pair[1]]) for pair in pairs}
        assert not {pair: value for pair, value in found.items() if value < least}
