"""How pages write numbers, and how the numbers of a text are found."""

from __future__ import annotations

import re

# Not those in names: LPIPS-2, conv4, JPEG2000, C=8, 16x16.
NUMBER = re.compile(r"(?<![\w=.,/^-])[-+]?(?:\d+(?:,\d{3})+|\d*\.?\d+)(?![\w]|[,.]?\d)")


def number(value: float, digits: int, signed: bool = False) -> str:
    """Without a zero before the point, and without a sign where it rounds to zero: .128, -.45, .000."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")
    return re.sub(r"^([-+]?)0\.", r"\1.", text)


def says(stated: str, value: float) -> bool:
    """Whether `value`, rounded to the digits that are stated, is what is stated. Without a sign the size alone counts:
    a text says "behind by .7"."""
    digits = len(stated.partition(".")[2])
    wanted = float(stated.replace(",", ""))
    rounded = float(f"{value:.{digits}f}")
    return rounded == wanted if stated[0] in "+-" else abs(rounded) == wanted
