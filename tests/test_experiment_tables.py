"""Tables of studies say what the rows say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.study import TABLE_KINDS, TableOf, read_study
from experiments.tables import (
    _KINDS,
    Fitted,
    ablation_table,
    bytes_table,
    quality_table,
    read_fitted,
    systems_of,
    write_tables,
)
from hific.errors import CheckpointError, OptionError
from hific.evaluation.folder import write_rows
from hific.evaluation.measurement import WHOLE_SET, Measurement

MakeCheckpoint = Callable[..., Path]
RATES = ("low", "medium", "high")
BYTES = read_study("table1_file_size").tables["table1"]
FILTERED = {"HiFiC + XGBoost, filtered": "hific_xgboost_{group}, last"}
QUALITY = TableOf("quality", RATES, {**BYTES.systems, **FILTERED}, ("mse", "psnr", "fid", "kid"))


def row(system: str, num_bytes: int, image: str = "a", psnr: float = 20.0, **metrics: float) -> Measurement:
    """Of an image of 8000 pixels."""
    return Measurement(
        system,
        codec="hific",
        setting="",
        image=image,
        width=100,
        height=80,
        num_pixels=8000,
        num_bytes=num_bytes,
        metrics={"psnr": psnr, "mse": 1 / psnr, **metrics},
        encode_seconds=0.5,
        decode_seconds=2.0,
    )


def test_a_variant_is_compared_with_tables_in_total_bytes() -> None:
    sizes = {"hific, tables": (100, 1000), "y_1, xgboost": (90, 900), "y_10, xgboost": (90, 600)}
    rows = [
        row(system, num_bytes, image)
        for system, of_images in sizes.items()
        for image, num_bytes in zip("ab", of_images, strict=True)
    ]
    fitted = {"hific": Fitted(None, 0), "y_1": Fitted(12.34, 2048), "y_10": Fitted(5.0, 512)}
    table = ablation_table(rows, fitted)
    assert table.header == (
        "variant",
        "bytes",
        "bpp",
        "change, %",
        "encode, s",
        "decode, s",
        "fit, s",
        "fitted, KiB",
    )
    assert table.body == (
        ("hific", "550", "0.5500", "0.00", "0.500", "2.000", "", "0.0"),
        ("y_1", "495", "0.4950", "-10.00 [-10.00, -10.00]", "0.500", "2.000", "12.3", "2.0"),
        ("y_10", "345", "0.3450", "-37.27 [-40.00, -10.00]", "0.500", "2.000", "5.0", "0.5"),
    )
    assert [one.system for one in systems_of(rows, "y_1")] == ["y_1, xgboost"]


def test_a_post_filter_is_compared_with_the_same_image_without_it() -> None:
    rows = [
        row("hific, tables", 100, lpips_alex=0.5),
        row("entropy, xgboost", 90, lpips_alex=0.5),
        row("both, xgboost", 90, lpips_alex=0.5),
        row("both, xgboost, post-filter", 95, psnr=21.0, lpips_alex=0.4, post_filtered_share=0.75),
    ]
    table = ablation_table(rows, dict.fromkeys(("hific", "entropy", "both"), Fitted(1.0, 1024)))
    assert table.header[-5:] == (
        "PSNR, dB ↑",
        "filtered: PSNR, dB ↑",
        "LPIPS-Alex ↓",
        "filtered: LPIPS-Alex ↓",
        "share of filtered tiles",
    )
    assert [line[3] for line in table.body] == ["0.00", "-10.00", "-5.00"]
    assert [line[-5:] for line in table.body] == [
        ("20.00", "", "0.500", "", ""),
        ("20.00", "", "0.500", "", ""),
        ("20.00", "21.00", "0.500", "0.400", "0.750"),
    ]


def three_rates() -> list[Measurement]:
    rows = []
    for factor, rate in enumerate(RATES, start=1):
        for image in ("a", "b"):
            rows += [
                row(f"hific_{rate}, tables", 100 * factor, image, estimated_bpp=1.0),
                row(f"hific_knn_{rate}, xgboost", 95 * factor, image, estimated_bpp=1.1),
                row(f"hific_xgboost_{rate}, xgboost", 91 * factor, image),
                row(f"hific_xgboost_{rate}, xgboost, post-filter", 92 * factor, image, psnr=21.0),
            ]
        whole = row(f"hific_{rate}, tables", 200 * factor, WHOLE_SET)
        rows.append(replace(whole, metrics={}, absent={"fid": "no Inception weights"}, num_images=2))
    return rows


def test_table_1_has_the_bytes_of_each_image_and_their_change() -> None:
    table = bytes_table(three_rates(), BYTES)
    assert table.header[:4] == ("image", "low: HiFiC", "low: HiFiC + KNN", "low: HiFiC + XGBoost")
    assert [line[0] for line in table.body] == ["a", "b", "mean"]
    assert table.body[0][1:4] == ("100", "95 (-5.0 %)", "91 (-9.0 %)")
    assert table.body[2][-3:] == ("300", "285 (-5.0 %)", "273 (-9.0 %)")
    assert table.to_csv().splitlines()[1].startswith("a,100,95 (-5.0 %)")


def test_table_1_is_of_the_same_pixels_or_there_is_none() -> None:
    rows = three_rates()
    place = next(place for place, one in enumerate(rows) if one.system == "hific_knn_high, xgboost")
    rows[place] = row("hific_knn_high, xgboost", 285, psnr=20.0000001)
    with pytest.raises(AssertionError, match="a: not the same decoded pixels of hific_high, tables; hific_knn_high"):
        bytes_table(rows, BYTES)


def test_table_3_has_filtered_images_too_and_says_what_is_absent() -> None:
    table = quality_table(three_rates(), QUALITY)
    assert [line[0] for line in table.body[:5]] == [
        "HiFiC, low",
        "HiFiC + KNN, low",
        "HiFiC + XGBoost, low",
        "HiFiC + XGBoost, filtered, low",
        "HiFiC, medium",
    ]
    psnr, fid = (next(place for place, name in enumerate(table.header) if key in name) for key in ("PSNR", "FID"))
    assert [line[psnr] for line in table.body[:4]] == ["20.00", "20.00", "20.00", "21.00"]
    assert table.body[0][fid] == "absent [1]" and table.notes == ("[1] absent: no Inception weights",)


def test_a_table_of_what_was_not_measured_is_told_in_a_line() -> None:
    with pytest.raises(OptionError, match="a table names hific_none, which was not measured"):
        bytes_table(three_rates(), TableOf("bytes_by_image", ("none",), {"HiFiC": "hific_{group}"}))


def test_every_kind_of_table_that_a_study_may_name_is_drawn() -> None:
    assert tuple(_KINDS) == TABLE_KINDS


def test_nothing_is_fitted_to_a_plain_hific(make_hific_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    assert read_fitted(make_hific_checkpoint()) == Fitted(None, 0)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_fitted(tmp_path / "absent.ckpt")


def test_of_several_seeds_each_has_its_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each as if it were the only one: seed 12 is none of seed 2's."""
    rows = [
        row(f"{name}_seed{seed}, tables", 100, psnr=psnr) for seed, psnr in ((2, 20.0), (12, 30.0)) for name in "ab"
    ]
    write_rows([*rows, row("jpeg", 90)], tmp_path / "measurements")
    checkpoints = {f"{name}_seed{seed}": tmp_path for seed in (2, 12) for name in "ab"}
    table = TableOf("quality", ("high",), {"A": "a", "B": "b"}, ("psnr",))
    found = write_tables({"table": table}, tmp_path, checkpoints, seeds=(2, 12))
    assert list(found) == ["table_seed2", "table_seed12"]
    assert [[line[-1] for line in one.body] for one in found.values()] == [["20.00"] * 2, ["30.00"] * 2]
    assert (tmp_path / "table_seed12.csv").read_text() == found["table_seed12"].to_csv()
