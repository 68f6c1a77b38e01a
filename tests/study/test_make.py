"""From an evaluation to a study: what is compared, in which parts, and that nothing else gets in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import photo
from PIL import Image

from hific.errors import ImageError, OptionError
from hific.evaluation.folder import ORIGINAL, EvaluationFolder, read_rows, write_rows
from hific.study.make import StudyOptions, describe, make_study
from hific.study.manifest import Manifest, check_pictures, picture_path, read_manifest
from hific.study.pictures import crop_boxes, degrade

OPTIONS = StudyOptions(crop_size=120, tolerance=0.5, trials=6, catches=2)
TEXTS = ("title", "question", "consent")
SYSTEMS = ["j2k, 1120", "jpeg", "webp"]


def pixels(folder: Path, picture: str) -> np.ndarray:
    with Image.open(picture_path(folder, picture)) as opened:
        assert opened.format == "PNG" and opened.mode == "RGB" and opened.info == {}
        return np.asarray(opened)


def test_every_picture_is_a_part_of_what_was_measured(evaluation: Path, made_study: Path) -> None:
    manifest, _ = read_manifest(made_study)
    check_pictures(made_study, manifest)
    assert manifest.systems == tuple(SYSTEMS)  # without those at the next size
    assert [crop.photo for crop in manifest.crops] == ["face <1>", "suit"] and len(manifest.pairs) == 6
    num_bytes = {(row.system, row.image): row.num_bytes for row in read_rows(evaluation / "measurements.parquet")}
    kept = EvaluationFolder(evaluation)
    for crop in manifest.crops:
        part = (slice(crop.y, crop.y + crop.height), slice(crop.x, crop.x + crop.width))
        assert (crop.width, crop.height) == (120, 120)
        for system, picture in {**crop.shown, ORIGINAL: crop.original}.items():
            assert np.array_equal(pixels(made_study, picture), kept.read_reconstruction(system, crop.photo)[part])
    for pair in manifest.pairs:
        photo_name = manifest.crops[pair.crop].photo
        assert pair.num_bytes == tuple(num_bytes[system, photo_name] for system in pair.systems)
    assert manifest.evaluation == sha256((evaluation / "measurements.parquet").read_bytes()).hexdigest()


def test_files_tell_nothing_of_the_systems(made_study: Path) -> None:
    manifest, _ = read_manifest(made_study)
    files = sorted((made_study / "pictures").iterdir())
    assert {file.stem for file in files} == set(manifest.pictures)
    assert all(len(file.stem) == 20 and set(file.stem) <= set("0123456789abcdef") for file in files)
    assert len({file.stat().st_size for file in files}) == 1  # smooth or not
    judged = {catch.original for catch in manifest.catch_pairs}
    assert len(judged) == 2 and not judged & {crop.original for crop in manifest.crops}


def test_catch_trials_show_the_original_and_a_poor_one(made_study: Path) -> None:
    manifest, _ = read_manifest(made_study)
    for catch in manifest.catch_pairs:
        original = pixels(made_study, manifest.crops[catch.crop].original)
        assert np.array_equal(pixels(made_study, catch.original), original)
        assert np.array_equal(pixels(made_study, catch.degraded), degrade(original))
    assert degrade(np.full((64, 64, 3), 90, np.uint8)) is None  # nobody would see that


def test_equal_options_give_equal_files_and_another_seed_others(
    evaluation: Path, made_study: Path, tmp_path: Path
) -> None:
    for name, seed in (("again", 0), ("other", 1)):
        texts = {text: getattr(read_manifest(made_study)[0], text) for text in TEXTS}
        make_study(evaluation, tmp_path / name, replace(OPTIONS, seed=seed, **texts))
    read = {
        folder: {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}
        for folder in (made_study, tmp_path / "again", tmp_path / "other")
    }
    assert read[made_study] == read[tmp_path / "again"]
    assert not set(read[made_study]) & set(read[tmp_path / "other"]) - {Path("manifest.json")}


def test_pairs_with_other_bytes_are_left_out_and_named(evaluation: Path, tmp_path: Path) -> None:
    rows = [
        replace(row, num_bytes=1200 if row.system == "webp" and row.image == "suit" else 1000)
        for row in read_rows(evaluation / "measurements.parquet")
    ]
    source = Path(shutil.copytree(evaluation, tmp_path / "evaluation"))
    write_rows(rows, source / "measurements")
    manifest = make_study(source, tmp_path / "study", replace(OPTIONS, tolerance=0.16))
    assert manifest.matched == (4, 6) and len(manifest.pairs) == 4
    assert {one.systems for one in manifest.left_out} == {("j2k, 1120", "webp"), ("jpeg", "webp")}
    assert {one.photo for one in manifest.left_out} == {"suit"}
    assert all("16.7 %" in one.reason and one.num_bytes == (1000, 1200) for one in manifest.left_out)
    assert "4 of 6" in describe(manifest)[1] and "67 %" in describe(manifest)[1]
    # the limit itself is allowed
    assert make_study(source, tmp_path / "all", replace(OPTIONS, tolerance=1 / 6)).matched == (6, 6)


def test_equal_pixels_are_not_compared(evaluation: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(evaluation, tmp_path / "evaluation"))
    kept = EvaluationFolder(source)
    shutil.copyfile(kept.reconstruction_path("jpeg", "suit"), kept.reconstruction_path("webp", "suit"))
    manifest = make_study(source, tmp_path / "study", OPTIONS)
    (left_out,) = manifest.left_out
    assert left_out.systems == ("jpeg", "webp") and "same pixels" in left_out.reason
    assert len(manifest.pairs) == 5 and manifest.matched == (6, 6)


@given(st.integers(1, 600), st.integers(1, 600), st.integers(64, 256), st.integers(1, 9), st.text(max_size=5))
@settings(max_examples=50, deadline=None)
def test_crops_lie_in_the_photo_and_apart(width: int, height: int, size: int, count: int, key: str) -> None:
    boxes = crop_boxes((height, width, 3), size, count, key)
    assert boxes == crop_boxes((height, width, 3), size, count, key)
    room = max(1, width // size) * max(1, height // size)
    assert len(boxes) == min(count, room)
    covered = np.zeros((height, width), int)
    for x, y, w, h in boxes:
        assert (w, h) == (min(size, width), min(size, height)) and x >= 0 and y >= 0
        covered[y : y + h, x : x + w] += 1
    assert covered.max() == 1 and covered.sum() == sum(w * h for _, _, w, h in boxes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop_size": 63}, "--crop 63: it is from 64 to 1024"),
        ({"crops": 0}, "--crops 0"),
        ({"tolerance": -0.1}, "--tolerance"),
        ({"tolerance": float("nan")}, "--tolerance"),
        ({"trials": 0}, "--trials"),
        ({"catches": 7}, "--catches 7: more than --trials 6"),
        ({"question": " "}, "--question"),
        ({"systems": ["j2k"]}, "--systems: there is no j2k; there is: j2k, 1120; jpeg; webp"),
        ({"systems": ["jpeg"]}, "a pair needs two"),
        ({"photos": ["nobody"]}, "--photos: there is no nobody"),
        ({"photos": ["rocket"]}, "no pictures were kept of rocket by original, j2k, 1120"),
        ({"tolerance": 0.0}, "no two of the systems can be compared"),
    ],
)
def test_what_cannot_be_made_is_a_line(
    evaluation: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError) as raised:
        make_study(evaluation, tmp_path / "study", replace(OPTIONS, **changes))  # type: ignore[arg-type]
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "study").exists()


def test_damaged_and_missing_evaluations_are_a_line(evaluation: Path, made_study: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"there is no .*: name a folder that evaluate\.py wrote"):
        make_study(tmp_path, tmp_path / "study", OPTIONS)
    with pytest.raises(OptionError, match="is a study already"):
        make_study(evaluation, made_study, OPTIONS)
    source = Path(shutil.copytree(evaluation, tmp_path / "evaluation"))
    path = EvaluationFolder(source).reconstruction_path("jpeg", "suit")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ImageError, match=r"suit\.png cannot be read .*: measure it again$"):
        make_study(source, tmp_path / "study", OPTIONS)
    Image.fromarray(photo(30, 30)).save(path)
    with pytest.raises(ImageError, match=r"is 30x30, its original 240x240: measure it again$"):
        make_study(source, tmp_path / "study", OPTIONS)
    assert not (tmp_path / "study" / "manifest.json").exists()


def test_a_changed_study_is_not_served(study: Path) -> None:
    manifest, _ = read_manifest(study)
    picture = picture_path(study, manifest.crops[0].original)
    data = picture.read_bytes()
    picture.write_bytes(data[:-1] + b"x")
    with pytest.raises(OptionError, match="is not the picture"):
        check_pictures(study, manifest)
    picture.unlink()
    with pytest.raises(OptionError, match="cannot be read"):
        check_pictures(study, manifest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("seed"), "seed: Field required"),
        (lambda m: m.update(version=2), "version"),
        (lambda m: m.update(more=1), "more"),
        (lambda m: m.update(pairs=[]), "it has no pairs"),
        (lambda m: m["pairs"][0].update(crop=9), "a crop that it does not have"),
        (lambda m: m["pairs"][0].update(systems=["a", "b"]), "a and b"),
        (lambda m: m["crops"][0].update(original="../../x"), "no picture ../../x"),
        (lambda m: m["pictures"].update({"../x": m["pictures"][m["crops"][0]["original"]]}), "no id of a picture"),
    ],
)
def test_a_manifest_that_was_changed_is_a_line(study: Path, change: object, words: str) -> None:
    path = study / "manifest.json"
    content = json.loads(path.read_text())
    change(content)  # type: ignore[operator]
    path.write_text(json.dumps(content))
    with pytest.raises(OptionError) as raised:
        read_manifest(study)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_a_torn_manifest_is_a_line(study: Path) -> None:
    path = study / "manifest.json"
    data = path.read_bytes()
    for cut in (0, 1, len(data) // 2):
        path.write_bytes(data[:cut])
        with pytest.raises(OptionError, match="is not what `hific study make` writes"):
            read_manifest(study)
    assert isinstance(Manifest.model_validate_json(data), Manifest)
