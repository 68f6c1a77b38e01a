"""From systems to a folder of results, with classical codecs at the bytes of a learned one."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hific.codecs.pillow_codecs import PillowCodec, PillowFamily
from hific.errors import OptionError, TooLargeError
from hific.evaluation.codecs_under_test import EncodeSpec, FixedCodec
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder, read_rows
from hific.evaluation.images import evaluation_images
from hific.evaluation.metrics_of import Metrics, pair_digest
from hific.evaluation.report import ReportContext
from hific.evaluation.run import PanelOptions, measure_all, write_results
from hific.metrics.fidelity import PSNR

FAMILIES = [PillowFamily("jpeg"), PillowFamily("webp")]
LEARNED = [
    FixedCodec(f"j2k {step}", EncodeSpec(PillowCodec("jpeg2000", step), fingerprint="ab")) for step in (1400, 1500)
]


class CountingPSNR(PSNR):
    """Counts how often it measures."""

    calls = 0

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        type(self).calls += 1
        return super().__call__(image, reconstruction)


@pytest.fixture
def images(picture: np.ndarray) -> list[EvaluationImage]:
    return [EvaluationImage("a", lambda: picture), EvaluationImage("b", lambda: picture[::-1].copy())]


def test_an_evaluation_fills_its_folder(images: list[EvaluationImage], tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path, keep={"a", "b"})
    rows = measure_all(LEARNED, FAMILIES, ["j2k 1400"], images, Metrics([PSNR()]), folder)
    by_key = {(row.system, row.image): row for row in rows}
    assert list(dict.fromkeys(row.system for row in rows)) == ["j2k 1400", "j2k 1500", "jpeg", "webp"]
    for family in ("jpeg", "webp"):
        for image in ("a", "b"):
            assert by_key[family, image].max_bytes == by_key["j2k 1400", image].num_bytes
    written = write_results(rows, ReportContext("T"), folder, PanelOptions(["a", "b"]))
    names = {
        "measurements.parquet",
        "measurements.csv",
        "report.html",
        "report.md",
        "table.md",
        "table.tex",
        "panel.png",
        "panel_b.png",
    }
    assert names <= {path.name for path in written} and all(path.is_file() for path in written)
    assert read_rows(tmp_path / "measurements.parquet") == rows
    report = (tmp_path / "report.md").read_text()
    assert "panel.png" in report and "metric_bars.png" in report
    assert "rate_metrics.png" in report and "j2k 1500" in (tmp_path / "table.tex").read_text()


def test_several_references_give_each_family_a_row_for_each(images: list[EvaluationImage], tmp_path: Path) -> None:
    names = [system.name for system in LEARNED]
    rows = measure_all(LEARNED, FAMILIES[:1], names, images[:1], Metrics([PSNR()]), EvaluationFolder(tmp_path))
    assert [row.system for row in rows] == [*names, "jpeg <= j2k 1400", "jpeg <= j2k 1500"]


def test_both_sides_are_compared_at_equal_bytes(images: list[EvaluationImage], tmp_path: Path) -> None:
    folder = EvaluationFolder(tmp_path)
    rows = measure_all(LEARNED[:1], FAMILIES, ["j2k 1400"], images, Metrics([PSNR()]), folder, both_sides=True)
    matched = ["jpeg", "jpeg, next size", "webp", "webp, next size"]
    assert list(dict.fromkeys(row.system for row in rows)) == ["j2k 1400", *matched]
    for row in rows[len(images) :]:
        assert row.max_bytes is not None
        assert row.num_bytes == row.max_bytes or (row.num_bytes > row.max_bytes) == row.system.endswith("next size")
    write_results(rows, ReportContext("T"), folder)
    report, table = (tmp_path / "report.md").read_text(), (tmp_path / "table.md").read_text()
    assert "## At equal bytes" in report and "| j2k 1400 | webp | PSNR, dB ↑ |" in report
    assert "next size" not in table
    assert read_rows(tmp_path / "measurements.parquet") == rows


def test_limits_can_be_given_without_a_learned_system(images: list[EvaluationImage], tmp_path: Path) -> None:
    rows = measure_all([], FAMILIES, {"a": 700, "b": 900}, images, Metrics([PSNR()]), EvaluationFolder(tmp_path))
    assert [row.max_bytes for row in rows] == [700, 900] * 2
    assert all(row.num_bytes <= row.max_bytes for row in rows)


def test_equal_labels_are_refused_before_anything_is_measured(images: list[EvaluationImage], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'j2k 1400' and 'j2k 1400' would share the folder"):
        measure_all(LEARNED[:1] * 2, [], [], images, Metrics([]), EvaluationFolder(tmp_path))


@pytest.mark.parametrize("names", [("net 1", "net-1"), ("original", "net")])
def test_labels_that_would_share_a_folder_are_refused(
    names: tuple[str, str], images: list[EvaluationImage], tmp_path: Path
) -> None:
    systems = [FixedCodec(name, LEARNED[0].fixed) for name in names]
    with pytest.raises(OptionError, match="would share the folder"):
        measure_all(systems, [], [], images, Metrics([]), EvaluationFolder(tmp_path))


def test_the_same_pixels_are_measured_once(images: list[EvaluationImage], tmp_path: Path) -> None:
    twins = [FixedCodec(name, LEARNED[0].fixed) for name in ("tables", "xgboost")]
    CountingPSNR.calls = 0
    rows = measure_all(twins, [], {}, images, Metrics([CountingPSNR()]), EvaluationFolder(tmp_path))
    assert CountingPSNR.calls == 2 and len(rows) == 4
    assert rows[0].metrics == rows[2].metrics != rows[1].metrics


def test_pixels_in_another_shape_are_another_pair() -> None:
    flat = np.arange(48, dtype=np.uint8)
    shapes = [flat.reshape(shape) for shape in ((2, 8, 3), (8, 2, 3), (4, 4, 3))]
    assert len({pair_digest(one, one) for one in shapes}) == 3
    assert pair_digest(shapes[0], shapes[0] + 1) != pair_digest(shapes[0] + 1, shapes[0])


def test_images_are_read_named_and_prepared(tmp_path: Path, picture: np.ndarray) -> None:
    paths = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", tmp_path / "y" / "b.png"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    images, (warning,) = evaluation_images(paths, crop=40)
    assert [image.name for image in images] == ["x_a", "y_a"]
    assert "b.png cannot be read" in warning and str(tmp_path) not in warning
    np.testing.assert_array_equal(images[0].read(), picture[10:50, 25:65])
    assert images[0].preprocessing == "center crop of 40"
    (scaled, *_), _ = evaluation_images(paths, scale=0.5, crop=40)
    assert scaled.preprocessing == "scale 0.5, center crop of 40" and scaled.read().shape == (30, 40, 3)


def test_equalized_images_are_the_reference_and_say_so(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    (image,), _ = evaluation_images([tmp_path / "a.png"], clahe=True)
    assert image.preprocessing == "CLAHE"
    assert not np.array_equal(image.read(), picture)


def test_the_log_says_where_a_codec_could_not_go_so_low(
    images: list[EvaluationImage],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("hific.evaluation.run"), "disabled", False)  # as Hydra leaves loggers behind
    with caplog.at_level(logging.INFO):
        measure_all([], FAMILIES[:1], {"a": 20, "b": 900}, images, Metrics([PSNR()]), EvaluationFolder(tmp_path))
        measure_all([], FAMILIES[:1], {"a": 900, "b": 900}, images, Metrics([PSNR()]), EvaluationFolder(tmp_path))
    low, high = caplog.messages
    assert low.endswith("bytes on average (1 of 2 above the limit)") and high.endswith("bytes on average")


def test_photos_that_no_codec_takes_are_left_out(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")

    def check(most: int, width: int, height: int) -> None:
        assert (width, height) == (90, 60)
        if width > most:
            raise TooLargeError("90x60 is too wide")

    kept, none = (evaluation_images([tmp_path / "a.png"], check_size=partial(check, most)) for most in (90, 89))
    assert len(kept[0]) == 1 and not kept[1]
    assert not none[0] and none[1] == ["left out: a.png: 90x60 is too wide; or measure centers by crop=PIXELS."]
