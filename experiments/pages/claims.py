"""Sentences of pages that state what was measured, each with what it is computed from (claims.yaml).

A claim quotes its page, so that neither can change alone. `values` names, for each number of the text in its order, the
statistic that it is: system and rival (means), mean (of the paired difference), low and high (of its 95 % interval), n,
total, wins, losses (images); "least mean" and "most mean" are of several comparisons, by size. ~ is a number that is
none. A text with a comparative word needs the `verdict` that every comparison must carry.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from experiments.pages.csv_tables import find_line
from experiments.pages.evidence import Asked, Comparison, compare, images_of, mean_of, rows_of
from experiments.pages.numbers import NUMBER, says
from experiments.pages.prose import COMPARATIVE, code_masked, measured_looking, paragraphs_of, squeezed
from experiments.study import check_keys
from hific.errors import OptionError

DIRECTIONS = {"better": 1, "ahead": 1, "worse": -1, "behind": -1, "level": 0} | dict.fromkeys(
    ("lead", "leads", "beat", "beats"), 1
)

STATISTICS = ("system", "rival", "mean", "low", "high", "n", "total", "wins", "losses")
STATISTICS_OF_MEANS = ("system", "n")  # where there is no rival
EXTREMES = {"least": min, "most": max}


@dataclass(frozen=True, kw_only=True)
class Claim(Asked):
    """of: whom the text speaks of, system or rival. file, where: a line of a CSV file in place of rows; `values` are
    its columns. why: that its numbers are none of ours, such as a target."""

    text: str
    verdict: str = ""
    of: str = "system"
    values: Sequence[str | None] = ()
    file: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


def claims_of(declared: Sequence[Mapping[str, Any]], where: str) -> list[Claim]:
    for entry in declared:
        check_keys(entry, [one.name for one in fields(Claim)], where)
    return [Claim(**entry) for entry in declared]


def problems_of(claim: Claim, page: str) -> list[str]:
    """Why the claim does not stand on the page or does not follow from the rows; nothing where it does."""
    text = squeezed(claim.text)
    if not any(text in paragraph for paragraph in paragraphs_of(page)):
        return [f"not on the page: '{text}'"]
    if claim.why:
        return []
    told = [f"'{text}': {problem}" for problem in _numbers_differ(claim, text)]
    return told + [f"'{text}': {problem}" for problem in _verdict_differs(claim, text)]


def _numbers_differ(claim: Claim, text: str) -> list[str]:
    stated = [found[0] for found in NUMBER.finditer(code_masked(text))]
    if len(stated) != len(claim.values):
        return [f"has the numbers {', '.join(stated) or 'none'}, and values for {len(claim.values)}"]
    pairs = [(number, name) for number, name in zip(stated, claim.values, strict=True) if name is not None]
    computed = [(number, name, _statistic(claim, name)) for number, name in pairs]
    return [f"{number} is {value:.5g} ({name})" for number, name, value in computed if not says(number, value)]


def _verdict_differs(claim: Claim, text: str) -> list[str]:
    words = [word[0].lower() for word in COMPARATIVE.finditer(code_masked(text))]
    if not claim.verdict:
        return [f"compares ({', '.join(words)}) without a verdict"] if words else []
    found = [(asked, compare(asked)) for asked in claim.comparisons().values()]
    told = [
        f"{asked.system} against {asked.rival} in {asked.metric} is {one.verdict}, not {claim.verdict}: "
        f"{one.mean:+.4g} [{one.low:+.4g}, {one.high:+.4g}]"
        for asked, one in found
        if one.verdict != claim.verdict
    ]
    direction = DIRECTIONS[claim.verdict] * (-1 if claim.of == "rival" else 1)
    if words and direction not in [DIRECTIONS[word] for word in words]:
        told.append(f"says {', '.join(words)} of the {claim.of}, and the system's verdict is {claim.verdict}")
    return told


def _statistic(claim: Claim, name: str) -> float:
    if claim.file:
        line = find_line(claim.file, claim.where)
        _check_known(claim, name, name, line)
        return float(line[name])
    which, _, plain = name.rpartition(" ")
    _check_known(claim, name, plain, STATISTICS if claim.rival else STATISTICS_OF_MEANS)
    _check_known(claim, name, which, ("", *EXTREMES))
    values = [_value(asked, plain) for asked in claim.comparisons().values()]
    if which:
        return EXTREMES[which](values, key=abs)
    if len({round(value, 12) for value in values}) > 1:
        raise OptionError(f"'{claim.text}': {name} is {values}: least or most?")
    return values[0]


def _check_known(claim: Claim, name: str, part: str, known: Collection[str]) -> None:
    if part not in known:
        choices = ", ".join(one for one in known if one)
        raise OptionError(f"'{claim.text}': values has {name!r}: {part!r} is none of {choices}")


def _value(asked: Comparison, name: str) -> float:
    if not asked.rival:
        rows = images_of(rows_of(asked.rows), asked.system, asked.rows)
        return float(len(rows)) if name == "n" else float(mean_of(rows, asked.metric) or 0)
    found = compare(asked)
    return found.n - found.wins if name == "losses" else float(getattr(found, name))


def unbacked(page: str, claims: Sequence[Claim]) -> list[str]:
    """Numbers that look measured and comparative words that are in no claim, no table and no block without rows."""
    told = []
    for paragraph in paragraphs_of(page):
        masked = code_masked(paragraph)
        for text in (squeezed(claim.text) for claim in claims):
            for found in re.finditer(re.escape(text), paragraph):
                masked = masked[: found.start()] + "~" * len(text) + masked[found.end() :]
        told += measured_looking(paragraph, masked)
    return told
