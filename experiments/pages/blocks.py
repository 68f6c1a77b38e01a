"""Blocks of a Markdown page between comments: tables that are generated, and notes that have no rows.

<!-- table: NAME -->              <!-- no rows: REASON -->
...                               ...
<!-- end of table -->             <!-- end of no rows -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hific.errors import OptionError

TABLE, NO_ROWS = "table", "no rows"
_BEGIN = re.compile(r"^<!-- (table|no rows): (.*?) -->\n", re.M | re.S)
_ANY_END = re.compile(r"^<!-- end of (table|no rows) -->$", re.M)


@dataclass(frozen=True)
class Block:
    """kind: TABLE or NO_ROWS. label: the table's name or the reason. begin, end: where `body` stands in the page."""

    kind: str
    label: str
    body: str
    begin: int
    end: int


def blocks_of(page: str, where: str) -> list[Block]:
    """OptionError, which `where` begins, where one is not closed or another begins within it."""
    found: list[Block] = []
    ends = list(_ANY_END.finditer(page))
    begins = list(_BEGIN.finditer(page))
    for number, begin in enumerate(begins):
        end = next((one for one in ends if one.start() >= begin.end()), None)
        following = begins[number + 1].start() if number + 1 < len(begins) else len(page)
        if end is None or end[1] != begin[1] or end.start() > following:
            raise OptionError(f"{where}: the block '{begin[1]}: {begin[2]}' has no end")
        body = page[begin.end() : end.start()]
        found.append(Block(begin[1], " ".join(begin[2].split()), body, begin.end(), end.start()))
    if len(ends) != len(begins):
        raise OptionError(f"{where}: {len(begins)} blocks begin and {len(ends)} end")
    return found


def with_tables(page: str, tables: Mapping[str, str], where: str) -> str:
    """The page with each table's body replaced. OptionError where a table is declared and not on the page, or is there
    and not declared."""
    found = [block for block in blocks_of(page, where) if block.kind == TABLE]
    names = [block.label for block in found]
    if sorted(names) != sorted(tables):
        raise OptionError(f"{where} has the tables {names}, declared are {list(tables)}")
    for block in reversed(found):
        page = page[: block.begin] + tables[block.label] + page[block.end :]
    return page
