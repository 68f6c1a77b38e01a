"""BD-rates known by hand, from another implementation and from published curves; reasons where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import bjontegaard
import numpy as np
import pytest

from hific.evaluation.bd_rate import BDRate, bd_rate_table, bd_rates
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.measurement import Measurement
from hific.evaluation.report import ReportContext
from hific.evaluation.run import write_results
from hific.metrics.image_metric import Absent

RATES, PSNR, LPIPS = [0.1, 0.2, 0.4, 0.8], [25.0, 28.0, 30.5, 33.0], [0.5, 0.4, 0.32, 0.2]
# CompressAI's results/image/kodak: bpp and PSNR of the mean over the 24 images.
KODAK = {
    "vvc": (
        [0.0482449, 0.1124954, 0.2458165, 0.4905455, 0.8748101, 1.4308497, 2.3246070, 3.6326090],
        [26.1448454, 28.4930218, 31.1998737, 34.2615326, 37.4197932, 40.4244442, 43.5057670, 46.5917601],
    ),
    "bpg": (
        [0.0677677, 0.1610235, 0.3515540, 0.6846966, 1.1996655, 1.9297121, 3.0578757, 4.7031428],
        [26.1951281, 28.6815493, 31.5946566, 34.8574738, 38.2598869, 41.4788728, 44.7031103, 47.6325160],
    ),
    "mean-scale hyperprior": (
        [0.1239217, 0.1979811, 0.3072442, 0.4606120, 0.6616652, 0.9144050, 1.2342088, 1.6190898],
        [27.6994730, 29.3588184, 31.1289162, 32.9506752, 34.9682965, 36.9110949, 38.8375143, 40.6333127],
    ),
}


def curve(
    codec: str, rates: Sequence[float], images: Sequence[str] = ("a", "b"), **metrics: Sequence[float]
) -> list[Measurement]:
    """Of classical codecs at limits; an image of 8,000,000 pixels, so that a byte is 1e-6 bpp."""
    return [
        Measurement(
            f"{codec} <= {number}",
            codec,
            "quality 3",
            image,
            4000,
            2000,
            8_000_000,
            round(rate * 1e6),
            {name: values[number] for name, values in metrics.items()},
            max_bytes=1,
        )
        for number, rate in enumerate(rates)
        for image in images
    ]


def percent(found: Sequence[BDRate], system: str, metric: str = "psnr") -> float | Absent:
    return next(one.percent for one in found if (one.system, one.metric) == (system, metric))


@pytest.mark.parametrize("factor", [1.25, 0.5])
def test_the_same_curve_at_a_multiple_of_the_rate_is_that_many_percent(factor: float) -> None:
    metrics = {"psnr": PSNR, "lpips_alex": LPIPS, "ms_ssim": [0.8, 0.9, 0.95, 0.99]}
    rows = curve("avif", RATES, **metrics) + curve("webp", [factor * rate for rate in RATES], **metrics)
    found = bd_rates(rows, "avif")
    assert [(one.system, one.metric) for one in found] == [("webp", m) for m in ("psnr", "ms_ssim", "lpips_alex")]
    for one in found:
        assert one.percent == pytest.approx(100 * (factor - 1)) and one.overlap == 1
    back = bd_rates(rows, "webp")
    assert percent(back, "avif") == pytest.approx(100 * (1 / factor - 1))


def test_it_is_the_packages_own_value() -> None:
    """Its published example, with means over images and rows in any order."""
    rate_anchor, psnr_anchor = [9.48776, 4.5936, 2.48624, 1.35824], [40.037, 38.615, 36.845, 34.851]
    rate_test, psnr_test = [9.7878, 4.469, 2.45152, 1.35624], [40.121, 38.651, 36.97, 34.987]
    rows = curve("hevc", rate_anchor, psnr=psnr_anchor) + curve("avif", rate_test, psnr=psnr_test)
    own = percent(bd_rates(rows[::-1], "hevc", ["psnr"]), "avif")
    expected = bjontegaard.bd_rate(rate_anchor, psnr_anchor, rate_test, psnr_test, method="pchip")
    assert own == pytest.approx(expected, abs=1e-3) and own < 0


def test_another_implementation_agrees() -> None:
    """The trapezoid rule over the interpolated curves."""
    from scipy.interpolate import PchipInterpolator

    other = [26.0, 28.6, 31.5, 33.4]
    rows = curve("avif", RATES, lpips_alex=LPIPS, psnr=PSNR) + curve("webp", RATES, lpips_alex=LPIPS, psnr=other)
    grid = np.linspace(max(PSNR[0], other[0]), min(PSNR[-1], other[-1]), 100_001)
    logs = [PchipInterpolator(values, np.log(RATES))(grid) for values in (PSNR, other)]
    expected = 100 * (math.exp(np.trapezoid(logs[1] - logs[0], grid) / (grid[-1] - grid[0])) - 1)
    (found,) = bd_rates(rows, "avif", ["psnr"])
    assert found.percent == pytest.approx(expected, abs=1e-4)
    assert found.overlap == pytest.approx((33.0 - 26.0) / (33.4 - 25.0))


def test_published_curves_give_their_known_differences() -> None:
    rows = [row for name, (rates, psnr) in KODAK.items() for row in curve(name, rates, psnr=psnr)]
    found = bd_rates(rows, "vvc", ["psnr"])
    assert percent(found, "bpg") == pytest.approx(22, abs=1)
    assert percent(found, "mean-scale hyperprior") == pytest.approx(22, abs=1)


@pytest.mark.parametrize(
    ("rates", "psnr", "reason"),
    [
        (RATES[:3], PSNR[:3], "3 rates, fewer than 4"),
        (RATES, [value + 50 for value in PSNR], "no common range"),
        (RATES, [25.0, 24.0, 30.0, 33.0], "a metric that does not rise with the rate"),
        (RATES, [25.0, 28.0, 30.0, math.inf], "infinite values"),
    ],
)
def test_what_cannot_be_compared_says_why(rates: list[float], psnr: list[float], reason: str) -> None:
    rows = curve("avif", RATES, psnr=PSNR) + curve("webp", rates, psnr=psnr)
    assert bd_rates(rows, "avif", ["psnr"]) == [BDRate("webp", "psnr", Absent(reason))]
    if reason != "no common range":
        assert bd_rates(rows, "webp", ["psnr"]) == [BDRate("avif", "psnr", Absent(f"the anchor has {reason}"))]


def test_means_over_other_images_are_no_curve() -> None:
    rows = curve("avif", RATES, psnr=PSNR) + curve("webp", RATES, ["a"], psnr=PSNR)
    assert percent(bd_rates(rows, "avif"), "webp") == Absent("values on a part of the images")
    assert percent(bd_rates(rows, "avif"), "webp", "ms_ssim") == Absent("the anchor has 0 rates, fewer than 4")
    with pytest.raises(ValueError, match="no measurements of the anchor 'vvc'"):
        bd_rates(rows, "vvc")


def test_models_at_several_rates_are_a_curve() -> None:
    learned = [
        Measurement(
            f"{name}, tables",
            "hific",
            "tables",
            image,
            4000,
            2000,
            8_000_000,
            1000 * number,
            {"psnr": 25.0},
            fingerprint=name,
        )
        for number, name in enumerate(("low", "medium", "high", "highest"), 1)
        for image in ("a", "b")
    ]
    rows = curve("avif", RATES, psnr=PSNR) + learned
    assert percent(bd_rates(rows, "avif"), "hific, tables") == Absent("a metric that does not rise with the rate")


def test_the_table_takes_the_strongest_anchor_that_can_be_compared(tmp_path: Path) -> None:
    narrow = [rate * 3 for rate in RATES[:2]] + [rate * 3 for rate in RATES[2:]]
    rows = (
        curve("jpeg", RATES, psnr=PSNR, lpips_alex=LPIPS)
        + curve("webp", narrow, psnr=[value - 3 for value in PSNR])
        + curve("hevc", RATES[:2], psnr=PSNR[:2])
        + curve("avif", [rate / 2 for rate in RATES], psnr=PSNR, lpips_alex=LPIPS)
    )
    table = bd_rate_table(rows)
    assert table is not None and "more than avif" in table.notes[0]
    assert table.header == ("system", "BD-rate, PSNR", "BD-rate, MS-SSIM", "BD-rate, LPIPS-Alex")
    assert table.body[0] == ("jpeg", "+100.0 %", "absent [1]", "+100.0 %")
    assert "% in common)" in table.body[1][1] and table.body[2][1] == "absent [3]"
    written = write_results(rows, ReportContext("T"), EvaluationFolder(tmp_path))
    assert {"bd_rate.md", "bd_rate.tex"} <= {path.name for path in written}
    assert (tmp_path / "bd_rate.md").read_text() == table.to_markdown()
    assert "## BD-rate" in (tmp_path / "report.md").read_text()


def test_without_curves_there_is_no_table(tmp_path: Path) -> None:
    rows = curve("avif", RATES[:1], psnr=PSNR) + curve("webp", RATES[:1], psnr=PSNR)
    assert bd_rate_table(rows) is None
    write_results(rows, ReportContext("T"), EvaluationFolder(tmp_path))
    assert not list(tmp_path.glob("bd_rate*")) and "BD-rate" not in (tmp_path / "report.md").read_text()
