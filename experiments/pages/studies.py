"""docs/studies.md: every study with what it asked and found, from the studies' own pages and the papers' claims.

What was found are the sentences of a study's page that claims.yaml computes from rows, whole; so that nothing stands
there that the page does not say, and nothing that no row carries. A study whose page has none shows its answers to the
papers' claims.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from experiments.pages.claims import Claim
from experiments.pages.papers import NOT_MEASURED, PaperClaim, answer, counts
from experiments.pages.prose import paragraphs_of, squeezed
from experiments.study import FOLDER, read_study, study_names

FAMILIES = {"compressnet": "CompressNet", "hific": "HiFiC and its context models"}
_SENTENCE = re.compile(r"(?<=\.)\s")
_LINK = re.compile(r"\]\((?![a-z]+:)([^)#]+)")


def studies_page(
    claims: Mapping[str, Sequence[Claim]], papers: Sequence[PaperClaim], commands: Mapping[str, str]
) -> str:
    """claims: by page, from the repository's root; commands: by study."""
    parts = [_INTRODUCTION]
    for family, title in FAMILIES.items():
        parts.append(f"## {title}")
        for name in study_names():
            if read_study(name).family == family:
                own = claims.get(f"experiments/{name}/README.md", ())
                parts += _section(name, own, [one for one in papers if one.study == name], commands.get(name, ""))
    return "\n\n".join(parts) + "\n"


def findings(page: str, claims: Sequence[Claim]) -> Iterator[tuple[str, str]]:
    """Sentences, without marks of lists and of weight, that hold a claim of which a verdict is computed; each behind
    the heading that it stands under."""
    computed = [squeezed(claim.text).replace("**", "") for claim in claims if claim.verdict and not claim.why]
    heading = ""
    for paragraph in paragraphs_of(page):
        if paragraph.startswith("#"):
            heading = paragraph.lstrip("# ")
        for sentence in _SENTENCE.split(paragraph.removeprefix("* ").replace("**", "")):
            if any(text in sentence for text in computed):
                yield heading, sentence


def _section(name: str, claims: Sequence[Claim], papers: Sequence[PaperClaim], command: str) -> list[str]:
    study, folder = read_study(name), FOLDER / name
    parts = [f"### {study.title}", f"{study.question} ([its page](../experiments/{name}/README.md))"]
    found = _listed(findings((folder / "README.md").read_text(), claims), folder)
    told = [f"{count} {word}" for word, count in counts(papers).items() if count]
    answers = [(one, answer(one)) for one in papers]
    measured = [f"{one.claim}: **{of.word}**. {of.measured}" for one, of in answers if of.word != NOT_MEASURED]
    if not found and not measured:
        why = dict.fromkeys(one.why for one in papers)
        drawn = any((folder / "results").glob("*"))
        found = [
            "* Pictures and curves alone, on its page." if drawn else f"* No rows{': ' if why else ''}{'; '.join(why)}."
        ]
    parts.append("\n".join(found or [f"* {one}" for one in measured]))
    if told:
        parts.append(f"Of the papers' claims: {', '.join(told)} ([each](claims.md)).")
    parts.append(f"At `size=small` it costs {study.cost}.{' Its results are of:' if command else ''}")
    return [*parts, f"    {command}"] if command else parts


def _listed(found: Iterable[tuple[str, str]], folder: Path) -> list[str]:
    """Items; under the headings of the page where they stand under several, for each may be of other models."""
    by_heading: dict[str, list[str]] = {}
    for heading, sentence in found:
        by_heading.setdefault(heading, []).append(f"* {_from_docs(sentence, folder)}")
    if len(by_heading) < 2:
        return [line for lines in by_heading.values() for line in lines]
    return [text for heading, lines in by_heading.items() for text in (f"* {heading}:", *(f"  {one}" for one in lines))]


def _from_docs(sentence: str, folder: Path) -> str:
    """With its links as docs/ has them."""
    docs = FOLDER.parent / "docs"
    return _LINK.sub(lambda found: f"]({Path(os.path.relpath(folder / found[1], docs)).as_posix()}", sentence)


_INTRODUCTION = """\
# Studies

Written by `python -m experiments.pages`: of each study what it asks, and of its page the sentences that rows carry, or
else its answers to the papers. Numbers in brackets are 95 % intervals over photos, of one training each.
[Claims](claims.md) has what the papers say, one by one; [reproduce](../experiments/README.md) how a study is run, and
how one is added."""
