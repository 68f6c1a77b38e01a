"""The gallery is a function of an evaluation, whole or not at all, and takes nothing of anybody else's away."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from evaluation.test_page import HOSTILE, Elements
from PIL import Image

from hific.cli import main
from hific.errors import FileRefusedError
from hific.evaluation.folder import ORIGINAL, EvaluationFolder, write_rows
from hific.evaluation.measurement import Measurement
from hific.evaluation.page.gallery import render_gallery, write_gallery
from hific.evaluation.page.pictures import embed_pictures
from hific.evaluation.report import ReportContext
from hific.io import write_whole

MakeRow = Callable[..., Measurement]
SYSTEMS = ["sae, tables", "sae, context", "jpeg"]


@pytest.fixture
def evaluation(make_row: MakeRow, picture: np.ndarray, tmp_path: Path) -> EvaluationFolder:
    """Three images by three systems, of which two decode to the same pixels; pictures of two images are kept."""
    root = tmp_path / "evaluation"
    folder = EvaluationFolder(root, keep={"a", "b"})
    for image, pixels in (("a", picture), ("b", picture[::-1].copy())):
        for system, divisor in zip((ORIGINAL, *SYSTEMS), (1, 2, 2, 3), strict=True):
            folder.put_reconstruction(system, image, pixels // divisor)
    write_rows([make_row(system, image) for system in SYSTEMS for image in "abc"], root / "measurements.parquet")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def data_of(folder: Path) -> dict:
    page = (folder / "index.html").read_text()
    Elements(page)
    return json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[0])


def test_a_gallery_has_each_picture_once_and_exactly(
    evaluation: EvaluationFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gallery", str(evaluation.root), "--title", "Looked & seen"]) == 0
    told = capsys.readouterr()
    index = evaluation.root / "gallery" / "index.html"
    assert told.out.startswith(f"{index}: 2 photos by 3 systems, 0.")
    assert told.err == "hific: of 1 more no pictures were kept: evaluate.py reconstructions=all keeps all\n"
    assert "Looked &amp; seen" in index.read_text()
    data, files = data_of(index.parent), files_of(index.parent)
    assert len(files) == 1 + 2 + 2 * 3 and data["pictures"]["uris"] == 6
    for one in data["pictures"]["images"]:
        for system, number in one["shown"]:
            script = files[f"pictures/{number:04d}.js"].decode()
            assert script.startswith(f'hificPicture({number},"data:image/webp;base64,') and script.endswith('")\n')
            with Image.open(BytesIO(base64.b64decode(script.split(",")[-1][:-3]))) as opened:
                shown = np.asarray(opened.convert("RGB"))
            name = ORIGINAL if system == -1 else SYSTEMS[system]
            expected = evaluation.read_reconstruction(name, data["images"][one["image"]])
            np.testing.assert_array_equal(shown, expected)
    assert [len(row) for row in data["rows"]] == [7] * 9


def test_the_same_evaluation_gives_the_same_bytes(evaluation: EvaluationFolder, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    for output in (first, second, second):  # a gallery is replaced
        write_gallery(evaluation.root, output)
    assert files_of(first) == files_of(second)
    assert {one.name for one in second.parent.iterdir()} == {"second"}
    write_gallery(evaluation.root / "measurements.parquet", first)
    assert files_of(first) == files_of(second)


def test_what_is_no_gallery_is_never_overwritten(
    evaluation: EvaluationFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = tmp_path / "gallery"
    write_gallery(evaluation.root, gallery)
    (gallery / "notes.txt").write_text("mine")
    page = tmp_path / "site"
    page.mkdir()
    (page / "index.html").write_text("<p>mine</p>")
    file = tmp_path / "file"
    file.write_text("mine")
    before = files_of(tmp_path)
    for output in (gallery, page, file, evaluation.root, file / "below"):
        assert main(["gallery", str(evaluation.root), "--output", str(output)]) == 2
        told = capsys.readouterr().err
        assert (
            told.startswith(f"hific: {output.parent if output.parent == file else output} ") and told.count("\n") == 1
        ), told
    assert files_of(tmp_path) == before
    (empty := tmp_path / "empty").mkdir()
    assert main(["gallery", str(evaluation.root), "-o", str(empty)]) == 0 and (empty / "index.html").is_file()


def test_a_gallery_that_cannot_be_finished_leaves_the_old_one(
    evaluation: EvaluationFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "gallery"
    write_gallery(evaluation.root, output)
    before = files_of(tmp_path)
    synced: list[int] = []

    def full(number: int) -> None:
        synced.append(number)
        if len(synced) > 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_whole.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_gallery(evaluation.root, output, title="other")
    assert len(synced) == 4 and files_of(tmp_path) == before
    monkeypatch.undo()
    replace, calls = write_whole.os.replace, []

    def refuse_the_second(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(write_whole.os, "replace", refuse_the_second)
    with pytest.raises(OSError, match="Input/output"):
        write_gallery(evaluation.root, output, title="other")
    assert files_of(tmp_path) == before
    (output / "notes.txt").write_text("since then")
    with pytest.raises(FileRefusedError, match="is no gallery"):
        write_gallery(evaluation.root, output)


def test_an_evaluation_with_nothing_to_show_is_one_line(
    evaluation: EvaluationFolder, make_row: MakeRow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, bare = tmp_path / "empty", tmp_path / "bare"
    write_rows([], empty / "measurements.parquet")
    write_rows([make_row()], bare / "measurements.parquet")
    damaged = evaluation.reconstruction_path("jpeg", "b")
    whole = damaged.read_bytes()
    for root, change, message in (
        (empty, None, "holds no measurements of images"),
        (bare, None, "keeps no pictures of its 1 images: measure again with reconstructions=all"),
        (tmp_path / "none", None, "none: name a folder that evaluate.py wrote"),
        (evaluation.root, whole[:300], "jpeg/b.png cannot be read ("),
        (evaluation.root, b"no picture", "jpeg/b.png cannot be read ("),
        (evaluation.root, evaluation.reconstruction_path("jpeg", "a"), "45x90, its original 90x60: measure it again"),
    ):
        if isinstance(change, bytes):
            damaged.write_bytes(change)
        elif change is not None:
            with Image.open(change) as opened:
                opened.convert("RGB").resize((45, 90)).save(damaged)
        assert main(["gallery", str(root)]) == 2
        told = capsys.readouterr().err
        assert told.startswith("hific: ") and message in told and told.count("\n") == 1, told
        assert not (root / "gallery").exists()
    (empty / "report.json").write_text("[]")
    assert main(["gallery", str(empty)]) == 2 and "is not what evaluate.py writes" in capsys.readouterr().err


def test_pictures_beyond_the_size_are_coded_again_then_left_out(
    make_row: MakeRow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "evaluation"
    folder = EvaluationFolder(root, keep={"small", "large"})
    noise = np.random.default_rng(0).integers(0, 256, (180, 180, 3), np.uint8)
    for image, pixels in (("large", noise), ("small", noise[:30, :30])):
        folder.put_reconstruction(ORIGINAL, image, pixels)
        folder.put_reconstruction("jpeg", image, pixels)
    write_rows([make_row(image=image) for image in ("large", "small")], root / "measurements.parquet")
    assert main(["gallery", str(root), "--max-megabytes", "0.07"]) == 0
    assert capsys.readouterr().err == "hific: left out beyond --max-megabytes 0.07: large\n"
    page = (root / "gallery" / "index.html").read_text()
    assert "kept in AVIF of high quality: within" in page and "to keep the gallery below its size: large" in page
    write_rows([make_row(image="large")], root / "measurements.parquet")
    assert main(["gallery", str(root), "--max-megabytes", "0.07"]) == 2
    assert "not even one of 1 photos fits" in capsys.readouterr().err
    for wrong in ("0", "-1", "many"):
        with pytest.raises(SystemExit):
            main(["gallery", str(root), "--max-megabytes", wrong])
        assert "is not a decimal number above 0" in capsys.readouterr().err


def test_nothing_of_a_name_becomes_an_element(make_row: MakeRow, picture: np.ndarray, tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path, keep={"a"})
    rows = [make_row(HOSTILE, "a", note=HOSTILE, setting=HOSTILE, max_bytes=1), make_row("jpeg", "a", fingerprint="a")]
    for system in (ORIGINAL, HOSTILE):
        folder.put_reconstruction(system, "a", picture)
    pictures = embed_pictures(rows, folder, 10**6)
    found = Elements(render_gallery(rows, ReportContext(HOSTILE, HOSTILE, warnings=[HOSTILE]), pictures))
    assert not [tag for tag, attributes in found.found if tag == "img" or "onerror" in attributes]
    assert sum(tag == "script" for tag, _ in found.found) == 2 and "{{ 7 * 7 }}" in found.text
