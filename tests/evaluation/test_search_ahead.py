"""Several searches at once give the rows of a single one, and end as it does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from hific.codecs.base import ImageLike
from hific.codecs.pillow_codecs import PillowFamily
from hific.cores import usable_cores
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder, read_rows
from hific.evaluation.measurement import Measurement
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.rate_search import CodecFamily, Made, ScaledCodec, make
from hific.evaluation.run import PARTIAL, measure_all
from hific.metrics.fidelity import PSNR

FAMILIES = [PillowFamily("jpeg"), PillowFamily("webp"), PillowFamily("jpeg2000")]
WORKERS = 4


@pytest.fixture
def images(picture: np.ndarray) -> list[EvaluationImage]:
    def reader(number: int) -> Callable[[], np.ndarray]:
        return lambda: np.roll(picture, 7 * number, axis=1)[:, : 90 - number]

    return [EvaluationImage(f"{number:02d}", reader(number)) for number in range(9)]


def without_times(rows: list[Measurement]) -> list[Measurement]:
    return [replace(row, encode_seconds=None, decode_seconds=None) for row in rows]


def test_rows_are_those_of_one_after_the_other(images: list[EvaluationImage], tmp_path: Path) -> None:
    rows = {}
    for workers in (1, WORKERS):
        limits = {image.name: 500 + 40 * number for number, image in enumerate(images)}
        folder = EvaluationFolder(tmp_path / str(workers))
        metrics = Metrics([PSNR()])
        rows[workers] = measure_all([], FAMILIES, limits, images, metrics, folder, both_sides=True, workers=workers)
        assert all(row.encode_seconds is not None and row.encode_seconds > 0 for row in rows[workers])
    assert without_times(rows[WORKERS]) == without_times(rows[1]) and len(rows[1]) == 6 * len(images)


@dataclass
class Meeting:
    """Waits in its first two encodes until both are there, which takes two threads."""

    both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=60))
    calls: int = 0

    def __call__(self, family: CodecFamily, codec: ScaledCodec, image: ImageLike) -> Made:
        self.calls += 1
        if self.calls <= 2:
            self.both.wait()
        return make(family, codec, image)


def test_images_are_searched_at_once(images: list[EvaluationImage], tmp_path: Path) -> None:
    limits = dict.fromkeys((image.name for image in images), 700)
    meeting = Meeting()
    measure_all(
        [],
        FAMILIES[:1],
        limits,
        images[:2],
        Metrics([PSNR()]),
        EvaluationFolder(tmp_path),
        make=meeting,
        workers=2,
    )
    assert meeting.calls > 2 and not meeting.both.broken


def test_an_image_that_a_format_cannot_hold_is_left_out_in_its_place(
    images: list[EvaluationImage], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wide = EvaluationImage("wide", lambda: np.zeros((2, 70_000, 3), np.uint8))
    limits = dict.fromkeys((*(image.name for image in images), "wide"), 800)
    with caplog.at_level(logging.WARNING):
        rows = measure_all(
            [],
            FAMILIES[1:2],
            limits,
            [images[0], wide, images[1]],
            Metrics([PSNR()]),
            EvaluationFolder(tmp_path),
            workers=WORKERS,
        )
    assert [row.image for row in rows] == ["00", "01"] and "absent: wide of webp" in caplog.text


class Failing:
    """Fails at the third image, with what no search takes for a limit of the format."""

    def __init__(self, error: BaseException, images: list[EvaluationImage]) -> None:
        self.error = error
        self.at = images[2].read().shape
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, family: CodecFamily, codec: ScaledCodec, image: ImageLike) -> Made:
        shape = np.asarray(image).shape
        self.seen.append(shape)
        if shape == self.at:
            raise self.error
        time.sleep(0.01)
        return make(family, codec, image)


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_come_as_they_are_and_end_the_searches(
    workers: int, images: list[EvaluationImage], tmp_path: Path
) -> None:
    failing = Failing(MemoryError("too much"), images)
    limits = dict.fromkeys((image.name for image in images), 700)
    before = threading.active_count()
    with pytest.raises(MemoryError, match="too much"):
        measure_all(
            [],
            FAMILIES,
            limits,
            images,
            Metrics([PSNR()]),
            EvaluationFolder(tmp_path),
            make=failing,
            workers=workers,
        )
    assert images[-1].read().shape not in failing.seen and threading.active_count() == before


class InterruptedPSNR(PSNR):
    """Ctrl-C arrives in the main thread, at the first image of the second system."""

    calls = 0

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        self.calls += 1
        if self.calls > 9:
            raise KeyboardInterrupt
        return super().__call__(image, reconstruction)


def test_ctrl_c_keeps_the_rows_and_waits_for_no_search(images: list[EvaluationImage], tmp_path: Path) -> None:
    limits = dict.fromkeys((image.name for image in images), 700)
    with pytest.raises(KeyboardInterrupt):
        measure_all(
            [],
            FAMILIES,
            limits,
            images,
            Metrics([InterruptedPSNR()]),
            EvaluationFolder(tmp_path),
            workers=WORKERS,
        )
    assert [row.system for row in read_rows(tmp_path / PARTIAL)] == ["jpeg"] * 9
    assert not any(thread.name.startswith("search") for thread in threading.enumerate())


def test_cores_are_counted() -> None:
    assert usable_cores() >= 1
