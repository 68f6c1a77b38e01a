"""Claims in prose and of the papers follow from rows, or are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.pages.claims import Claim, problems_of, unbacked
from experiments.pages.numbers import NUMBER
from experiments.pages.papers import AGREES, CONTRADICTS, NOT_MEASURED, UNDECIDED, PaperClaim, answer, paper_claims_of
from experiments.pages.prose import squeezed
from experiments.pages.site import ROOT, claim_problems, declared, page_claims
from experiments.study import study_names
from hific.errors import OptionError
from hific.evaluation.folder import write_rows
from hific.evaluation.measurement import Measurement


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """By PSNR ours is .5 to .9 dB better than theirs, by SSIM worse, by LPIPS sometimes one and sometimes the other."""
    found = []
    for place, image in enumerate("abcde"):
        ours = {"psnr": 30.5 + place / 10, "ssim": 0.80, "lpips_alex": 0.2 + (-0.1 if place % 2 else 0.1)}
        theirs = {"psnr": 30.0, "ssim": 0.81 + place / 100, "lpips_alex": 0.2}
        for system, metrics in (("ours", ours), ("theirs", theirs)):
            found.append(Measurement(system, "c", "", image, 80, 100, 8000, 1000, metrics))
    write_rows(found, tmp_path / "measurements")
    return str(tmp_path / "measurements.parquet")


@pytest.fixture
def claim(rows: str) -> Claim:
    return Claim(
        text="ours is better by .70 dB, on 5 of 5 images",
        rows=rows,
        system="ours",
        rival="theirs",
        metric="psnr",
        verdict="better",
        values=("mean", "wins", "n"),
    )


PAGE = "# A page\n\nAt the same bytes, **ours is\nbetter by .70 dB, on 5 of 5 images**.\n"


def test_every_claim_stands_on_its_page_and_in_its_rows() -> None:
    assert claim_problems() == []


def test_a_claim_that_holds_is_quiet_and_backs_its_numbers(claim: Claim) -> None:
    page = PAGE.replace("**", "")
    assert problems_of(claim, page) == [] and unbacked(page, [claim]) == []
    assert [one.partition(" in '")[0] for one in unbacked(page, [])] == ["5 of 5 images", ".70", "better"]


def test_a_changed_digit_is_noticed(claim: Claim) -> None:
    (missing,) = problems_of(claim, PAGE.replace(".70", ".80"))
    assert missing.startswith("not on the page")
    (wrong,) = problems_of(replace(claim, text=claim.text.replace(".70", ".80")), PAGE.replace(".70", ".80"))
    assert wrong.endswith(".80 is 0.7 (mean)")
    (images,) = problems_of(replace(claim, text=claim.text.replace("5 of", "4 of")), PAGE.replace("5 of", "4 of"))
    assert "4 is 5 (wins)" in images


def test_a_changed_verdict_is_noticed(claim: Claim) -> None:
    worse, page = replace(claim, text=claim.text.replace("better", "worse")), PAGE.replace("better", "worse")
    assert "says worse of the system" in problems_of(worse, page)[0]
    assert "is better, not worse" in problems_of(replace(worse, verdict="worse"), page)[0]
    assert problems_of(replace(worse, verdict="better", of="rival"), page) == []
    straddles = Claim(text="better by LPIPS", rows=claim.rows, system="ours", rival="theirs", metric="lpips_alex")
    page = "It is better by LPIPS.\n"
    assert "compares (better) without a verdict" in problems_of(straddles, page)[0]
    assert "is level, not better" in problems_of(replace(straddles, verdict="better"), page)[0]


# Code in a quote may hold digits, which are no numbers of the text.
COMPUTED = [
    claim for claims in page_claims().values() for claim in claims if any(claim.values) and "`" not in claim.text
]


@pytest.mark.parametrize("claim", COMPUTED, ids=lambda claim: squeezed(claim.text)[:40])
def test_another_digit_in_any_claim_of_the_pages_is_noticed(claim: Claim) -> None:
    text = squeezed(claim.text)
    for found, name in zip(NUMBER.finditer(text), claim.values, strict=True):
        if name is not None:
            other = str((int(found[0][-1]) + 5) % 10)
            wrong = text[: found.end() - 1] + other + text[found.end() :]
            assert problems_of(replace(claim, text=wrong), f"{wrong}\n"), wrong


def test_numbers_and_values_are_as_many(claim: Claim) -> None:
    (told,) = problems_of(replace(claim, values=("mean",)), PAGE.replace("**", ""))
    assert "has the numbers .70, 5, 5, and values for 1" in told


def test_least_and_most_are_of_several_comparisons(claim: Claim) -> None:
    several = Claim(
        text="by .02 to .7",
        rows=claim.rows,
        system="ours",
        rival="theirs",
        metric="{metric}",
        each={"metric": ["psnr", "ssim"]},
        values=("least mean", "most mean"),
    )
    assert "0.03" in problems_of(several, "by .02 to .7\n")[0]
    with pytest.raises(OptionError, match="least or most"):
        problems_of(replace(several, values=("mean", "mean")), "by .02 to .7\n")


@pytest.mark.parametrize(
    ("metric", "expected", "word"),
    [
        ("psnr", ["better"], AGREES),
        ("ssim", ["better"], CONTRADICTS),
        ("ssim", ["worse"], AGREES),
        ("lpips_alex", ["better"], UNDECIDED),
        ("lpips_alex", ["better", "level"], AGREES),
    ],
)
def test_answers_to_the_papers_follow_from_intervals(rows: str, metric: str, expected: list[str], word: str) -> None:
    asked = PaperClaim(
        paper="p", source="s", claim="c", study="x", rows=rows, system="ours", rival="theirs", metric=metric
    )
    assert answer(replace(asked, expected=expected)).word == word
    assert answer(replace(asked, why="no rows")).word == NOT_MEASURED


def test_metrics_of_one_claim_are_told_by_their_names(rows: str) -> None:
    asked = PaperClaim(
        paper="p", source="s", claim="c", study="x", rows=rows, system="ours", rival="theirs", metric="{metric}"
    )
    told = answer(replace(asked, each={"metric": ["psnr", "lpips_alex"]})).measured
    assert told.startswith("PSNR, dB +.70 [") and "; LPIPS-Alex +" in told and "metric" not in told


def test_a_stated_mean_is_equal_within_a_share(rows: str) -> None:
    asked = PaperClaim(paper="p", source="s", claim="c", study="x", rows=rows, system="ours", metric="bpp", stated=1.01)
    assert answer(replace(asked, within=0.02)).word == AGREES and answer(asked).word == CONTRADICTS


def test_claims_of_the_papers_name_studies_and_say_why_or_from_what() -> None:
    for one in paper_claims_of(declared("papers.yaml")["claims"], "papers.yaml"):
        assert one.study in study_names() and one.source and bool(one.why) != bool(one.rows), one.claim
        assert (ROOT / "experiments" / one.study / "paper.csv").is_file()
    with pytest.raises(OptionError, match="x: unknown pages"):
        paper_claims_of([{"pages": 1}], "x")
