"""The mean table at the end of a run, narrow enough for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hific.evaluation.measurement import Measurement
from hific.evaluation.tables import main_table

LEFT_OUT = ("images", "downscaling", "note")
NARROWEST = 100
"""Columns where the output is no terminal, whose width rich would take to be 80."""


def print_means(rows: Sequence[Measurement], console: Console | None = None) -> None:
    """To stdout: a line a system, then its notes."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    table = main_table(rows)
    places = [place for place, name in enumerate(table.header) if name not in LEFT_OUT]
    shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for place in places:
        heading = Text(table.header[place].replace("-", "-\n").replace(", ", ",\n"))
        # only the names may be broken where the terminal is narrow
        shown.add_column(heading, justify="left" if place == 0 else "right", no_wrap=place > 0, overflow="fold")
    for row in table.body:
        shown.add_row(*(Text(row[place]) for place in places))
    console.print(shown)
    notes = [f"{row[0]}: {row[-1]}" for row in table.body if table.header[-1] == "note" and row[-1]]
    for note in (*notes, *table.notes):
        console.print(Text(note))
