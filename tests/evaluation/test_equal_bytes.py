"""Metrics at equal bytes: on the curve between two sizes, paired, with intervals that mean what they say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photos import noise

from hific.codecs.pillow_codecs import PillowFamily
from hific.evaluation.equal_bytes import NEXT_SIZE, Difference, bootstrap_interval, differences, equal_bytes_table
from hific.evaluation.measurement import Measurement
from hific.evaluation.rate_search import Files, match_bytes, next_larger


def row(system: str, image: str, num_bytes: int, psnr: float, max_bytes: int | None = None) -> Measurement:
    metrics = {"psnr": psnr, "lpips_alex": 1 / psnr}
    return Measurement(system, "c", "", image, 64, 64, 4096, num_bytes, metrics, max_bytes=max_bytes)


def curve(num_bytes: int) -> float:
    """A codec's, straight in log bytes."""
    return 20 + 3 * math.log2(num_bytes / 100)


@given(st.integers(101, 5000), st.integers(1, 100), st.integers(1, 5000), st.floats(-2, 2))
def test_a_codec_on_a_straight_curve_is_as_far_as_it_is(num_bytes: int, less: int, more: int, lead: float) -> None:
    below, above = num_bytes - less, num_bytes + more
    rows = [
        row("ours", "a", num_bytes, curve(num_bytes) + lead),
        row("avif", "a", below, curve(below), num_bytes),
        row("avif" + NEXT_SIZE, "a", above, curve(above), num_bytes),
    ]
    (psnr, _) = differences(rows, "ours", "avif")
    assert psnr.mean == pytest.approx(lead, abs=1e-9) and (psnr.n, psnr.total) == (1, 1)


def test_images_that_cannot_be_coded_so_small_are_left_out_and_counted() -> None:
    rows = [
        *(row("ours", image, 1000, 30.0) for image in "abc"),
        row("avif", "a", 1200, 29.0, 1000),
        row("avif" + NEXT_SIZE, "a", 1200, 29.0, 1000),
        row("avif", "b", 1000, 31.0, 1000),
        row("avif" + NEXT_SIZE, "b", 1000, 31.0, 1000),
        row("avif", "c", 900, 28.0, 1000),
        row("avif" + NEXT_SIZE, "c", 950, 29.0, 1000),  # no setting is above
    ]
    (psnr, lpips) = differences(rows, "ours", "avif")
    assert (psnr.mean, psnr.n, psnr.total, psnr.verdict) == (-1.0, 1, 3, "worse")
    assert lpips.verdict == "worse" and lpips.mean > 0
    table = equal_bytes_table(rows)
    assert table is not None and table.body[0][:2] == ("ours", "avif") and table.body[0][-2:] == ("worse", "1 of 3")
    assert equal_bytes_table([one for one in rows if not one.system.endswith(NEXT_SIZE)]) is None


def test_a_lossless_picture_and_a_format_without_a_file_of_one_image_leave_the_others() -> None:
    rows = [
        *(row("ours", image, 1000, 32.0) for image in "abcd"),
        *(row("webp", image, 900, 30.0, 1000) for image in "abc"),
        *(row("webp" + NEXT_SIZE, image, 1100, math.inf if image == "a" else 31.0, 1000) for image in "abc"),
    ]
    (psnr, _) = differences(rows, "ours", "webp")
    assert (psnr.n, psnr.total, psnr.verdict) == (2, 4, "better") and 1 < psnr.low <= psnr.high < 2
    table = equal_bytes_table(rows)
    assert table is not None and table.body[0][:2] == ("ours", "webp") and table.body[0][-1] == "2 of 4"
    assert Difference("psnr", 1.0, 1.0, math.nan, math.nan, math.nan, 1, 1).verdict == "level"


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        low, high = bootstrap_interval(generator.normal(1.0, 2.0, 24))
        covered += low <= 1.0 <= high
    assert 0.88 <= covered / 300 <= 0.97  # percentile intervals of 24 are a little narrow
    assert bootstrap_interval(np.array([1.0, 2.0, 4.0])) == bootstrap_interval(np.array([1.0, 2.0, 4.0]))


def test_intervals_are_percentiles_of_the_mean() -> None:
    """Of many values they are those of a Gaussian: 1.96 deviations of the mean to either side."""
    values = np.random.default_rng(1).normal(0.0, 1.0, 500)
    low, high = bootstrap_interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / math.sqrt(500), rel=0.04)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("metric", "low", "high", "verdict"),
    [
        ("psnr", 0.1, 0.2, "better"),
        ("psnr", -0.2, -0.1, "worse"),
        ("psnr", 0.0, 0.2, "level"),
        ("psnr", -0.2, 0.0, "level"),
        ("lpips_alex", -0.2, -0.1, "better"),
        ("lpips_alex", 0.1, 0.2, "worse"),
        ("estimated_bpp", 0.1, 0.2, "level"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side(metric: str, low: float, high: float, verdict: str) -> None:
    assert Difference(metric, 1.0, 1.0, (low + high) / 2, low, high, 3, 3).verdict == verdict


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_the_next_size_is_the_next(name: str, tmp_path: Path) -> None:
    family, pixels = PillowFamily(name, scales=(1,)), noise(48, 40)
    files = Files()
    codec, data = match_bytes(family, pixels, 1500, files)
    larger = next_larger(family, pixels, codec, 1500, files)
    sizes = [len(family.codec(setting, 1).compress(pixels)) for setting in family.settings]
    assert len(larger.compress(pixels)) > 1500 >= len(data)
    assert len(larger.compress(pixels)) == next(
        size
        for size in sizes[family.settings.index(codec.quality) + 1 :]
        if size > 1500  # type: ignore[attr-defined]
    )
    assert next_larger(family, pixels, codec, len(data), files) == codec
    assert match_bytes(family, pixels, 1500, files)[0] == codec  # what was made for other limits changes nothing
