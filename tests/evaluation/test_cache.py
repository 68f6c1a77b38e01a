"""What was measured once is found again, by all that it follows from and nothing else."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hific.codecs.base import ImageLike
from hific.codecs.pillow_codecs import PillowCodec, PillowFamily
from hific.evaluation import content_cache
from hific.evaluation.cached_files import CachedMake, codec_identity, pixels_digest
from hific.evaluation.codecs_under_test import EncodeSpec, FixedCodec
from hific.evaluation.content_cache import ContentCache, Entry, default_folder, key_of, open_cache, source_digest
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.measurement import Measurement
from hific.evaluation.metrics_identity import metrics_identity
from hific.evaluation.metrics_of import MeasuredCache, Metrics
from hific.evaluation.run import measure_all
from hific.metrics.fidelity import PSNR
from hific.metrics.image_metric import Absent

LEARNED = [FixedCodec("j2k", EncodeSpec(PillowCodec("jpeg2000", 1400)))]
KEY = key_of({"of": "a test"})


class CountingCodec(PillowCodec):
    """Counts encodes of all of its kind."""

    calls = 0

    def compress(self, image: ImageLike) -> bytes:
        CountingCodec.calls += 1
        return super().compress(image)


@dataclass(frozen=True)
class CountingFamily(PillowFamily):
    build: str = "1"

    @property
    def version(self) -> str:
        return self.build

    def codec(self, setting: int, scale: int) -> CountingCodec:
        return CountingCodec(self.name, setting, scale, self.speed)


class CountingPSNR(PSNR):
    calls = 0

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float:
        CountingPSNR.calls += 1
        return super().__call__(image, reconstruction)


class CountingSet:
    """A metric of sets, absent for one of its numbers."""

    shown = 0

    def update(self, image: np.ndarray, reconstruction: np.ndarray) -> None:
        CountingSet.shown += 1

    def compute(self) -> Mapping[str, float | Absent]:
        return {"fd_alexnet": 0.1 + 0.2, "fid": Absent("no Inception weights")}


@pytest.fixture
def images(picture: np.ndarray) -> list[EvaluationImage]:
    return [EvaluationImage("a", lambda: picture), EvaluationImage("b", lambda: picture[::-1].copy())]


@pytest.fixture
def cache(tmp_path: Path) -> ContentCache:
    return ContentCache(tmp_path / "cache")


FAMILIES = [CountingFamily("webp"), CountingFamily("avif", speed=10)]


def run(
    cache: ContentCache,
    images: list[EvaluationImage],
    folder: Path,
    families: list[CountingFamily] = FAMILIES,
    identity: str = "1",
) -> tuple[list[Measurement], tuple[int, int, int]]:
    """The rows, and how often was encoded, measured, and shown to the metric of sets."""
    CountingCodec.calls = CountingPSNR.calls = CountingSet.shown = 0
    metrics = Metrics([CountingPSNR()], lambda: [CountingSet()], MeasuredCache(cache, identity))  # type: ignore[list-item]
    rows = measure_all(
        LEARNED,
        families,
        ["j2k"],
        images,
        metrics,
        EvaluationFolder(folder),
        both_sides=True,
        make=CachedMake(cache),
    )
    return rows, (CountingCodec.calls, CountingPSNR.calls, CountingSet.shown)


def without_decoding_times(rows: list[Measurement], learned: str = "j2k") -> list[Measurement]:
    """Decoding is measured each time, and so is what is encoded by no family."""
    return [
        replace(row, decode_seconds=None, encode_seconds=None if row.system == learned else row.encode_seconds)
        for row in rows
    ]


def test_a_second_evaluation_runs_no_encoder_and_no_metric(
    cache: ContentCache, images: list[EvaluationImage], tmp_path: Path
) -> None:
    first, counts = run(cache, images, tmp_path / "1")
    again, none = run(cache, images, tmp_path / "2")
    assert min(counts) > 0 and none == (0, 0, 0)
    assert without_decoding_times(again) == without_decoding_times(first)  # with the seconds of the first encodes
    files = [sorted(path.relative_to(tmp_path / one) for path in (tmp_path / one).rglob("*.*")) for one in "12"]
    assert files[0] == files[1] and len(files[0]) == 10
    assert all((tmp_path / "1" / path).read_bytes() == (tmp_path / "2" / path).read_bytes() for path in files[0])


def test_what_an_earlier_search_left_behind_changes_no_search(
    cache: ContentCache, images: list[EvaluationImage], tmp_path: Path
) -> None:
    """Sizes need not rise with the setting: a file from another search could be larger, and still fit."""
    for quality in range(0, 101, 3):
        CachedMake(cache)(FAMILIES[0], FAMILIES[0].codec(quality, 1), images[0].read())
    with_more, _ = run(cache, images, tmp_path / "1", FAMILIES[:1])
    alone, _ = run(ContentCache(tmp_path / "other"), images, tmp_path / "2", FAMILIES[:1])
    assert [row.setting for row in with_more] == [row.setting for row in alone]


def test_another_version_option_or_pixel_is_measured_anew(cache: ContentCache, picture: np.ndarray) -> None:
    family = CountingFamily("avif", speed=10)
    make = CachedMake(cache)
    changed = picture.copy()
    changed[3, 4, 1] ^= 1
    cases = [
        (family, 30, 1, picture),
        (replace(family, build="2"), 30, 1, picture),
        (replace(family, speed=9), 30, 1, picture),
        (family, 31, 1, picture),
        (family, 30, 2, picture),
        (family, 30, 1, changed),
        (family, 30, 1, picture.reshape(90, 60, 3)),
    ]
    for expected in (len(cases), 0):
        CountingCodec.calls = 0
        for one, setting, scale, pixels in cases:
            assert make(one, one.codec(setting, scale), pixels).data == one.codec(setting, scale).compress(pixels)
        assert CountingCodec.calls == expected + len(cases)


def test_what_identifies_a_file_is_written_beside_it(cache: ContentCache, picture: np.ndarray) -> None:
    family = PillowFamily("avif")
    identity = codec_identity(family, family.codec(7, 2))
    assert identity["options"] == {"name": "'avif'", "quality": "7", "scale": "2", "speed": "4"}
    shared = ("hific.codecs.pillow_codecs", "hific.programs")
    assert "libavif" in identity["version"]
    assert identity["source"] == source_digest("hific.codecs.pillow_codecs", *shared) != source_digest(*shared)
    made = CachedMake(cache)(family, family.codec(7, 2), picture)
    entry = cache.read("encoded", key_of({**identity, "pixels": pixels_digest(picture)}))
    assert entry == Entry({**identity, "seconds": made.seconds}, made.data)


def test_other_metrics_measure_anew(cache: ContentCache, images: list[EvaluationImage], tmp_path: Path) -> None:
    run(cache, images, tmp_path / "1")
    _, counts = run(cache, images, tmp_path / "2", identity="2")
    assert counts[0] == 0 and min(counts[1:]) > 0


class Failing:
    """A program that fails."""

    name = "vmaf"
    higher_is_better = True

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> Absent:
        self.calls += 1
        return Absent("out of memory", for_now=self.calls == 1)


def test_what_failed_is_tried_again(cache: ContentCache, picture: np.ndarray) -> None:
    failing = Failing()
    for expected in (1, 2, 2):
        measured = Metrics([failing], cache=MeasuredCache(cache, "1")).measure(picture, picture)
        assert measured.absent == {"vmaf": "out of memory"} and failing.calls == expected


def test_sets_that_begin_alike_are_told_apart(
    cache: ContentCache, images: list[EvaluationImage], tmp_path: Path
) -> None:
    for expected in ([1, 2], [0, 0]):
        for number, count in zip((1, 2), expected, strict=True):
            _, (*_, shown) = run(cache, images[:number], tmp_path, [])
            assert shown == count


def test_the_metrics_follow_from_their_weights_and_device(random_weights_dir: Path, tmp_path: Path) -> None:
    weights = tmp_path / "alexnet_features.pth"
    seen = {metrics_identity(random_weights_dir), metrics_identity(tmp_path)}
    weights.write_bytes(b"some")
    seen.add(metrics_identity(tmp_path))
    weights.write_bytes(b"else")
    seen |= {metrics_identity(tmp_path), metrics_identity(tmp_path, device="meta"), metrics_identity(tmp_path, weights)}
    assert len(seen) == 6 and metrics_identity(tmp_path) in seen


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_entries_are_measured_again_with_a_single_warning(
    damage: bytes | None,
    cache: ContentCache,
    images: list[EvaluationImage],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, counts = run(cache, images, tmp_path / "1")
    for path in (path for path in cache.root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 4]) if damage is None else damage)
    with caplog.at_level(logging.WARNING):
        again, same = run(cache, images, tmp_path / "2")
    assert same == counts and len(caplog.messages) == 1 and "holds damaged entries" in caplog.text
    assert [row.setting for row in again] == [row.setting for row in first]
    assert run(ContentCache(cache.root), images, tmp_path / "3")[1] == (0, 0, 0)


def test_a_cache_that_cannot_be_used_is_a_warning_and_no_obstacle(
    images: list[EvaluationImage], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        rows, counts = run(ContentCache(tmp_path / "file"), images, tmp_path / "1")
    assert rows and min(counts) > 0
    assert 1 <= len(caplog.messages) <= 2 and "cannot be written" in caplog.text


def test_what_was_not_asked_for_longest_goes_first(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, max_bytes=3500)
    keys = [key_of({"number": number}) for number in range(4)]
    for age, key in enumerate(keys):
        cache.write("encoded", key, Entry({}, bytes(1000)))
        os.utime(tmp_path / content_cache.FORMAT / "encoded" / key[:2] / key, (age, age))
    assert cache.read("encoded", keys[0]) is not None  # now the latest
    (tmp_path / "photo.png").write_bytes(bytes(9999))  # nobody's to remove
    cache.remove_oldest()
    assert [cache.read("encoded", key) is not None for key in keys] == [True, False, True, True]
    assert (tmp_path / "photo.png").exists()


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIFIC_CACHE", "")
    assert open_cache("default") is None and open_cache(None) is None
    monkeypatch.setenv("HIFIC_CACHE", str(tmp_path / "named"))
    cache = open_cache("default")
    assert cache is not None and cache.root == tmp_path / "named" and not cache.root.exists()
    monkeypatch.delenv("HIFIC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = default_folder()
    assert folder is not None and folder.name == "hific"
    other = open_cache(str(tmp_path / "other"))
    assert other is not None and other.root == tmp_path / "other"
