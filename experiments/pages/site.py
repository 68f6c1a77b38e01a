"""Which pages there are, what is written into them, what they claim."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.pages.blocks import NO_ROWS, blocks_of, with_tables
from experiments.pages.claims import Claim, claims_of, problems_of, unbacked
from experiments.pages.drawing import draw
from experiments.pages.evidence import EXPERIMENTS
from experiments.pages.papers import PaperClaim, claims_page, paper_claims_of, paper_csv, plain_table
from experiments.pages.studies import studies_page
from experiments.study import load_yaml, study_names
from hific.evaluation.equal_bytes import equal_bytes_table
from hific.evaluation.folder import read_rows

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
KODAK = EXPERIMENTS / "campaign" / "results"
# Pages whose prose is searched for numbers that nothing backs; of the others only tables are.
TABLES_ALONE = ("benchmarks/README.md", "docs/mutants.md", "docs/reliability.md", "docs/scale.md")
# Pages of docs/ whose numbers are checked elsewhere: generated ones, and the format, which its own test reads.
CHECKED_ELSEWHERE = ("docs/claims.md", "docs/file_format.md", "docs/options.md", "docs/studies.md")


def prose_pages() -> list[str]:
    """As paths from the repository's root."""
    found = [ROOT / "README.md", ROOT / "experiments" / "README.md", *EXPERIMENTS.glob("*/README.md")]
    found += (ROOT / "docs").glob("*.md")
    pages = sorted(path.relative_to(ROOT).as_posix() for path in found)
    return [page for page in pages if page not in (*TABLES_ALONE, *CHECKED_ELSEWHERE)]


def declared(name: str) -> dict[str, Any]:
    """Of a YAML file beside this one, without resolving: texts may hold braces."""
    return dict(load_yaml(FOLDER / name))


def generated_files() -> dict[Path, str]:
    """Every file that is made of rows, or has tables that are, with its text."""
    files = {}
    for page, tables in declared("tables.yaml").items():
        path = ROOT / page
        drawn = {name: draw(entry, path, f"tables.yaml: {page}: {name}") for name, entry in tables.items()}
        files[path] = with_tables(path.read_text(), drawn, page)
    return files | _claims_files() | _of_shipped_models()


def _claims_files() -> dict[Path, str]:
    papers = declared("papers.yaml")
    claims = paper_claims_of(papers["claims"], "papers.yaml")
    docs, commands = ROOT / "docs", _commands()
    files = {
        docs / "claims.md": claims_page(claims, papers["introduction"], commands),
        docs / "claims.csv": plain_table(claims, commands).to_csv(),
        docs / "claims.tex": plain_table(claims).to_latex(),
        docs / "studies.md": studies_page(page_claims(), claims, commands),
    }
    by_study: dict[str, list[PaperClaim]] = {}
    for claim in claims:
        by_study.setdefault(claim.study, []).append(claim)
    return files | {EXPERIMENTS / study / "paper.csv": paper_csv(found) for study, found in by_study.items()}


def _commands() -> dict[str, str]:
    """Of each study, as its page has it, in one line."""
    found = {}
    for name in study_names():
        page = (EXPERIMENTS / name / "README.md").read_text()
        command = re.search(rf"^    (python -m experiments {name} .*?)$(?!\n {{8}})", page, re.M | re.S)
        if command:
            found[name] = " ".join(command[1].replace("\\\n", " ").split())
    return found


def _of_shipped_models() -> dict[Path, str]:
    """Their cards, and all comparisons of them."""
    # Cards read the models' own descriptions, with torch and XGBoost.
    from experiments.campaign.cards import SOURCES, all_cards
    from hific import zoo

    files = {zoo.FOLDER / f"{name}.md": card for name, card in all_cards().items()}
    for name in (Path(rows).stem for _, *measured in SOURCES.values() for rows in measured):
        table = equal_bytes_table(read_rows(KODAK / f"{name}.parquet"))
        if table is not None:
            files[KODAK / f"{name}_equal_bytes.md"] = table.to_markdown()
    return files


def page_claims() -> dict[str, list[Claim]]:
    return {page: claims_of(entries, f"claims.yaml: {page}") for page, entries in declared("claims.yaml").items()}


def claim_problems() -> list[str]:
    """Claims that are not on their page or not in their rows, and numbers that nothing backs."""
    claims: Mapping[str, list[Claim]] = page_claims()
    told = [f"{page} is no page with claims" for page in claims if page not in prose_pages()]
    for page in prose_pages():
        text = (ROOT / page).read_text()
        of_page = claims.get(page, [])
        told += [f"{page}: {problem}" for claim in of_page for problem in problems_of(claim, text)]
        told += [f"{page}: nothing backs {problem}" for problem in unbacked(text, of_page)]
    for page in TABLES_ALONE:
        found = unbacked((ROOT / page).read_text(), [])
        told += [f"{page}: nothing backs {problem}" for problem in found if " in '|" in problem]
    return told


def blocks_without_rows() -> dict[str, list[str]]:
    """By page the reasons."""
    pages = [*prose_pages(), *TABLES_ALONE]
    found = {page: blocks_of((ROOT / page).read_text(), page) for page in pages}
    return {
        page: [block.label for block in blocks if block.kind == NO_ROWS]
        for page, blocks in found.items()
        if any(block.kind == NO_ROWS for block in blocks)
    }
