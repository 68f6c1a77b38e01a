"""A table as text: Markdown, LaTeX with booktabs, and CSV."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from io import StringIO

_NUMBER = re.compile(r"-?(\d|inf|absent)")
_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "Δ": r"$\Delta$",
}


@dataclass(frozen=True)
class Table:
    """`body` rows are as long as `header`; columns of numbers are aligned to the right; `notes` go below."""

    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        rule = tuple("---:" if right else "---" for right in self._right_aligned())
        lines = [
            "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
            for row in (self.header, rule, *self.body)
        ]
        return "\n".join(lines + [""] + [f"{note}  " for note in self.notes]).rstrip() + "\n"

    def to_latex(self) -> str:
        lines = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in (self.header, *self.body)]
        columns = "".join("r" if right else "l" for right in self._right_aligned())
        top = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule"]
        below = [rf"\par\smallskip\footnotesize {_latex(note)}" for note in self.notes]
        return "\n".join([*top, *lines[1:], r"\bottomrule", r"\end{tabular}", *below]) + "\n"

    def to_csv(self) -> str:
        """Without the notes."""
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows((self.header, *self.body))
        return text.getvalue()

    def _right_aligned(self) -> list[bool]:
        """Of each column whether it holds numbers (some may be absent)."""
        columns = [[row[place] for row in self.body] for place in range(len(self.header))]
        return [all(not cell or _NUMBER.match(cell) for cell in cells) for cells in columns]


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
