"""An evaluation that was interrupted or killed goes on where it was; what follows from other options is made anew."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hific.codecs.base import ImageLike
from hific.codecs.pillow_codecs import PillowCodec
from hific.evaluation.codecs_under_test import EncodeSpec, FixedCodec
from hific.evaluation.content_cache import ContentCache
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import ORIGINAL, EvaluationFolder
from hific.evaluation.measurement import Measurement
from hific.evaluation.metrics_of import MeasuredCache, Metrics
from hific.evaluation.round_trip import KeptTrips
from hific.evaluation.run import measure_all
from hific.metrics.fidelity import PSNR


class CountingCodec(PillowCodec):
    """Counts what is asked of all of its kind."""

    calls: tuple[int, int] = (0, 0)

    def compress(self, image: ImageLike) -> bytes:
        CountingCodec.calls = (CountingCodec.calls[0] + 1, CountingCodec.calls[1])
        return super().compress(image)

    def decompress(self, data: bytes) -> Image.Image:
        CountingCodec.calls = (CountingCodec.calls[0], CountingCodec.calls[1] + 1)
        return super().decompress(data)


@dataclass
class StoppedPSNR(PSNR):
    """Ends at its third image: by Ctrl-C, or by a kill."""

    by_kill: bool = False
    calls: int = 0

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        self.calls += 1
        if self.calls == 3 and self.by_kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.calls == 3:
            raise KeyboardInterrupt
        return super().__call__(image, reconstruction)


def extra(pixels: np.ndarray) -> dict[str, float]:
    return {"switch_accuracy": len(pixels) / 300}


SYSTEM = FixedCodec("sae", EncodeSpec(CountingCodec("jpeg", 40), extra_metrics=extra, identity="sae 1"))


@pytest.fixture
def images(picture: np.ndarray) -> list[EvaluationImage]:
    return [EvaluationImage(f"{number}", lambda n=number: np.roll(picture, n, axis=1)) for number in range(4)]


def run(
    folder: Path, images: list[EvaluationImage], system: FixedCodec = SYSTEM, metric: PSNR | None = None
) -> tuple[list[Measurement], tuple[int, int]]:
    """The rows, and how often was encoded and decoded; with one cache for all runs beside `folder`."""
    CountingCodec.calls = (0, 0)
    cache = ContentCache(folder.parent / "cache")
    metrics = Metrics([metric or PSNR()], cache=MeasuredCache(cache, "1"))
    results = EvaluationFolder(folder, keep={"1"})
    rows = measure_all([system], [], {}, images, metrics, results, kept=KeptTrips(cache))
    return rows, CountingCodec.calls


@pytest.mark.parametrize("by_kill", [False, True])
def test_images_that_were_done_are_not_made_again(by_kill: bool, images: list[EvaluationImage], tmp_path: Path) -> None:
    stopped = StoppedPSNR(by_kill=by_kill)
    if by_kill:
        if sys.platform == "win32":
            pytest.skip("no fork")
        context = multiprocessing.get_context("fork")
        child = context.Process(target=run, args=(tmp_path / "1", images, SYSTEM, stopped))
        child.start()
        child.join(120)
        assert child.exitcode == -signal.SIGKILL
    else:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "1", images, metric=stopped)
    rows, calls = run(tmp_path / "2", images)
    assert calls == (1, 1)  # the third had its file, and no metrics yet
    assert [row.image for row in rows] == ["0", "1", "2", "3"]
    for row, image in zip(rows, images, strict=True):
        data = (tmp_path / "2" / "files" / "sae" / f"{row.image}.jpg").read_bytes()
        decoded = np.asarray(PillowCodec("jpeg", 40).decompress(data))
        assert row.num_bytes == len(data) and row.metrics["psnr"] == PSNR()(image.read(), decoded)
        assert row.metrics["switch_accuracy"] == 0.2 and row.encode_seconds is not None
    folder = EvaluationFolder(tmp_path / "2")
    np.testing.assert_array_equal(folder.read_reconstruction(ORIGINAL, "1"), images[1].read())
    kept = (tmp_path / "2" / "files" / "sae" / "1.jpg").read_bytes()
    np.testing.assert_array_equal(folder.read_reconstruction("sae", "1"), PillowCodec("jpeg", 40).decompress(kept))
    again, none = run(tmp_path / "3", images)
    assert none == (0, 0) and again == rows  # with their times


@pytest.mark.parametrize("identity", ["sae 2", ""])
def test_another_codec_or_one_that_nobody_knows_is_run(
    identity: str, images: list[EvaluationImage], tmp_path: Path
) -> None:
    other = FixedCodec("sae", replace(SYSTEM.fixed, codec=CountingCodec("jpeg", 10), identity=identity))
    first, _ = run(tmp_path / "1", images)
    rows, calls = run(tmp_path / "2", images, other)
    assert calls == (4, 4) and rows[0].num_bytes < first[0].num_bytes


def test_other_pixels_are_another_image(images: list[EvaluationImage], tmp_path: Path) -> None:
    run(tmp_path / "1", images[:1])
    _, calls = run(tmp_path / "2", [replace(images[1], name="0")])
    assert calls == (1, 1)
