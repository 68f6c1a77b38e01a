"""What classical codecs are matched to, and which coders of a checkpoint are rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hific.codecs.load import load_codec
from hific.errors import OptionError
from hific.evaluation.folder import write_rows
from hific.evaluation.measurement import WHOLE_SET, Measurement
from hific.evaluation.request import byte_limits_wanted, label_codecs


def test_bytes_are_matched_to_the_last_coder_that_is_measured(make_checkpoint: Callable[..., Path]) -> None:
    codec = load_codec(make_checkpoint())
    for wanted, chosen in (([], ("fixed_length", "tables")), (["last"], ("tables",)), (["fixed_length"],) * 2):
        (labeled,) = label_codecs([codec], ["a"], wanted)
        assert labeled.coders == tuple(chosen) and labeled.reference == f"a, {chosen[-1]}"
        assert [one.name for one in labeled.under_test(controls=False)] == [f"a, {coder}" for coder in chosen]


def test_limits_are_of_the_first_reference_of_each_or_a_number() -> None:
    assert byte_limits_wanted("first", ["a", "b"], []) == ["a"]
    assert byte_limits_wanted("each", ["a", "b"], []) == ["a", "b"]
    assert byte_limits_wanted(700, [], ["x", "y"]) == {"x": 700, "y": 700}
    for match_to, references in (("last", ["a"]), ("first", [])):
        with pytest.raises(OptionError):
            byte_limits_wanted(match_to, references, [])


def row(system: str, image: str, max_bytes: int | None) -> Measurement:
    return Measurement(system, system, "", image, 8, 8, 64, 10, metrics={"psnr": 20.0}, max_bytes=max_bytes)


def test_limits_of_earlier_rows_are_those_that_classical_codecs_had(tmp_path: Path) -> None:
    learned = [row("sae, tables", image, None) for image in ("x", "y")]
    classical = [row("jpeg", "x", 700), row("jpeg", "y", 500), row("webp", "x", 700), row("jpeg", WHOLE_SET, 9)]
    path = str(write_rows([*learned, *classical], tmp_path / "rows")[0])
    assert byte_limits_wanted(path, [], ["x", "y"]) == {"x": 700, "y": 500}
    with pytest.raises(OptionError, match="no classical codec was measured of z"):
        byte_limits_wanted(path, [], ["x", "z"])
    with pytest.raises(OptionError, match=r"absent\.parquet holds no measurements"):
        byte_limits_wanted(str(tmp_path / "absent.parquet"), [], ["x"])
    path = str(write_rows([*classical, row("jpeg <= other", "x", 800)], tmp_path / "several")[0])
    with pytest.raises(OptionError, match="an image has no one limit"):
        byte_limits_wanted(path, [], ["x"])
