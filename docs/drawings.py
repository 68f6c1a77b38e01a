"""Drawings in docstrings, for the pages that mkdocstrings makes of them: whatever their indentation, they are shown as
they stand."""

from __future__ import annotations

import re
from typing import Any

import griffe

_DRAWN = re.compile("[\u2500-\u257f]")


class Drawings(griffe.Extension):
    """Paragraphs with a line of box characters become blocks of code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_code(obj.docstring.value)


def as_code(docstring: str) -> str:
    paragraphs = re.split(r"(\n\s*\n)", docstring)
    return "".join(_indented(one) if _DRAWN.search(one) else one for one in paragraphs)


def _indented(paragraph: str) -> str:
    return "\n".join(f"    {line}" for line in paragraph.splitlines())
