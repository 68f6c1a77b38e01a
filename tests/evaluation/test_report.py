"""A reader of the report cannot miss what was trained, what is absent and what is not comparable."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hific.evaluation import measurement
from hific.evaluation.measurement import Measurement
from hific.evaluation.report import ReportContext, training_warnings, write_report

MakeRow = Callable[..., Measurement]


def test_the_report_says_what_was_trained_measured_and_absent(make_row: MakeRow) -> None:
    rows = [
        make_row("sae_spn, context", absent={"fid": "no Inception weights"}, fingerprint="3c236301"),
        make_row("jpeg", max_bytes=1000, preprocessing="CLAHE"),
    ]
    training = {"sae_spn": {"data": "bundled", "steps": 2000, "minutes": 4.5}}
    text = write_report(
        rows, ReportContext("Demo", "bundled, test split", training, ["perceptual term off."], {"P": "panel.png"})
    )
    for expected in (
        "# Demo",
        "> **Warning:** perceptual term off.",
        "| steps | 2000 |",
        "| minutes | 4.5 |",
        "bundled, test split: 1 images",
        "reference is the image after CLAHE",
        "largest size not above the limit",
        "![P](panel.png)",
        "| FID | no Inception weights | 1 |",
        "sae_spn 3c236301",
    ):
        assert expected in text


def test_notes_become_warnings(make_row: MakeRow) -> None:
    text = write_report([make_row("oracle", note="not decodable at these bytes")], ReportContext("T"))
    assert "> **Warning:** oracle: not decodable at these bytes." in text


def test_a_missing_perceptual_term_and_the_warnings_of_a_run_are_passed_on() -> None:
    training = {"a": {"perceptual_term": False}, "b": {"perceptual_term": True, "warnings": ["stopped early."]}}
    assert training_warnings(training) == ["b: stopped early.", "a was trained without a perceptual term."]
    assert "stopped early" not in write_report([], ReportContext("T", training=training))


def test_a_tiny_network_is_said_to_be_no_result_first() -> None:
    training = {"a": {"size": "tiny", "warnings": ["stopped early."]}, "b": {"size": "small"}}
    first, second = training_warnings(training)
    assert first.startswith("a: size tiny") and first.endswith("not a result.") and "stopped" in second


def test_what_no_system_has_is_under_further_metrics_with_its_reason(make_row: MakeRow) -> None:
    text = write_report([make_row(absent={"lpips_alex": "no AlexNet weights"})], ReportContext("T"))
    main, further = text.split("## Further metrics")
    assert "absent [" not in main and "LPIPS-Alex ↓" in further and "[1] absent: no AlexNet weights" in further


def test_the_commit_is_of_the_checkout_that_holds_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    code = tmp_path / "measurement.py"
    code.write_text("1")
    monkeypatch.setattr(measurement, "__file__", str(code))
    assert measurement.find_commit() == "unknown"
    git("init", "-q")
    assert measurement.find_commit() == "unknown"  # in a repository, but not of it
    git("add", "measurement.py")
    git("commit", "-qm", "one", "--no-verify")
    assert measurement.find_commit() == git("rev-parse", "--short=12", "HEAD").strip()
    code.write_text("2")
    assert measurement.find_commit().endswith("+changes")


def test_provenance_names_device_and_libraries() -> None:
    found = measurement.find_provenance(config="{}")
    assert "torch " in found.libraries and "pillow " in found.libraries
    assert found.device and found.config == "{}"


def test_absences_are_counted_by_metric_and_reason(make_row: MakeRow) -> None:
    rows = [make_row(image=image, absent={"fid": "no weights"}) for image in "abc"]
    rows += [make_row(image="d", absent={"fid": "too small", "kid": "no weights"})]
    report = write_report(rows, ReportContext("title"))
    for line in ("| FID | no weights | 3 |", "| FID | too small | 1 |", "| KID | no weights | 1 |"):
        assert line in report


def test_a_perceptual_term_that_nobody_wanted_is_not_missed() -> None:
    known = {"with": {"perceptual_term": True}, "without": {"perceptual_term": False}, "never": {"steps": 3}}
    assert training_warnings(known) == ["without was trained without a perceptual term."]
