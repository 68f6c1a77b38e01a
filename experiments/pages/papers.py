"""What the papers claim beside what was measured here (papers.yaml): docs/claims.md, .csv and .tex, and each study's
paper.csv. The answer follows from intervals by rule:

    agrees        every comparison's verdict is one that the claim expects
    contradicts   an interval lies on another side of zero than the claim expects
    undecided     neither: an interval holds zero
    not measured  there are no rows; `why` says why
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from experiments.pages.drawing import digits_of
from experiments.pages.evidence import Asked, Finding, compare, images_of, mean_of, rows_of, title_of
from experiments.pages.numbers import number
from experiments.study import check_keys
from hific.errors import OptionError
from hific.evaluation.tables import Table

AGREES, CONTRADICTS, UNDECIDED, NOT_MEASURED = "agrees", "contradicts", "undecided", "not measured"
HEADER = ("paper", "where", "claim", "the paper's number", "measured here", "photos", "runs", "size", "answer", "study")


@dataclass(frozen=True, kw_only=True)
class PaperClaim(Asked):
    """paper, source: which, and where in it. number: as the paper states it. expected: verdicts of the system that the
    claim allows. stated, within: of a mean without a rival, what the paper has and how far off counts as equal, as a
    share. runs, size: trainings behind each system, and their recipe. why: that nothing was measured."""

    paper: str
    source: str
    claim: str
    study: str
    number: str = ""
    expected: Sequence[str] = ("better",)
    stated: float | None = None
    within: float = 0.0
    runs: int = 1
    size: str = "small"
    why: str = ""
    note: str = ""


@dataclass(frozen=True)
class Answer:
    word: str
    measured: str
    photos: str


def paper_claims_of(declared: Sequence[Mapping[str, Any]], where: str) -> list[PaperClaim]:
    for entry in declared:
        check_keys(entry, [one.name for one in fields(PaperClaim)], where)
    return [PaperClaim(**entry) for entry in declared]


def answer(claim: PaperClaim) -> Answer:
    if claim.why:
        return Answer(NOT_MEASURED, claim.why, "")
    if claim.stated is not None:
        return _answer_of_a_mean(claim, claim.stated)
    found = {name: compare(asked) for name, asked in claim.comparisons().items()}
    verdicts = {one.verdict for one in found.values()}
    if verdicts <= set(claim.expected):
        word = AGREES
    else:
        word = CONTRADICTS if verdicts - set(claim.expected) - {"level"} else UNDECIDED
    several = "metric" in claim.each  # metrics, each then told by its name
    told = [(name.replace(one.metric, title_of(one.metric)) if several else name, one) for name, one in found.items()]
    measured = "; ".join(f"{name} {_told(one, claim.relative)}".strip() for name, one in told)
    measured = measured if several else f"{title_of(claim.metric)}: {measured}"
    photos = ", ".join(dict.fromkeys(str(one.n) for one in found.values()))
    return Answer(word, f"{measured}{f'. {claim.note}' if claim.note else ''}", photos)


def _answer_of_a_mean(claim: PaperClaim, stated: float) -> Answer:
    rows = images_of(rows_of(claim.rows), claim.system, claim.rows)
    mean = mean_of(rows, claim.metric)
    if mean is None:
        raise OptionError(f"{claim.rows}: {claim.system} has no {claim.metric}")
    word = AGREES if abs(mean / stated - 1) <= claim.within else CONTRADICTS
    return Answer(word, f"{number(mean, digits_of(claim.metric))}. {claim.note}".strip(), str(len(rows)))


def _told(one: Finding, relative: bool) -> str:
    # Percents below 1 have a digit more, or an interval that holds no zero would look as if it did.
    digits = (1 if max(abs(one.low), abs(one.high)) >= 1 else 2) if relative else digits_of(one.metric)
    mean, low, high = (number(value, digits, signed=True) for value in (one.mean, one.low, one.high))
    return f"{mean} [{low}, {high}]{' %' if relative else ''}"


def claims_table(claims: Sequence[PaperClaim], link: str = "{study}") -> Table:
    body = []
    for claim in claims:
        found = answer(claim)
        runs, size = ("", "") if claim.why else (str(claim.runs), claim.size)
        where = (claim.paper, claim.source, claim.claim, claim.number or "none")
        study = link.format(study=claim.study)
        body.append((*where, found.measured, found.photos, runs, size, found.word, study))
    return Table(HEADER, tuple(body))


def plain_table(claims: Sequence[PaperClaim], commands: Mapping[str, str] | None = None) -> Table:
    """Without Markdown, for CSV and LaTeX; with the commands that train and measure, where they are given."""
    table = claims_table(claims)
    body = (tuple(cell.replace("`", "") for cell in row) for row in table.body)
    if commands is None:
        return Table(table.header, tuple(body))
    return Table((*table.header, "command"), tuple((*row, commands.get(row[-1], "")) for row in body))


def counts(claims: Sequence[PaperClaim]) -> dict[str, int]:
    words = [answer(claim).word for claim in claims]
    return {word: words.count(word) for word in (AGREES, CONTRADICTS, UNDECIDED, NOT_MEASURED)}


def claims_page(claims: Sequence[PaperClaim], introduction: str, commands: Mapping[str, str]) -> str:
    """docs/claims.md. commands: by study."""
    table = claims_table(claims, "[{study}](../experiments/{study}/README.md)").to_markdown()
    told = ", ".join(f"{count} {word}" for word, count in counts(claims).items())
    used = dict.fromkeys(claim.study for claim in claims)
    lines = "\n".join(f"    {commands[name]}" for name in used if name in commands)
    title = "# What the papers claim, and what was measured"
    parts = (title, introduction.strip(), f"Of {len(claims)}: {told}.", table.strip(), "## Commands", lines)
    return "\n\n".join(parts) + "\n"


def paper_csv(claims: Sequence[PaperClaim]) -> str:
    """Of one study."""
    body = tuple((one.source, one.claim, one.number or "no number", answer(one).word) for one in claims)
    return Table(("source", "claim", "value", "answer"), body).to_csv()
