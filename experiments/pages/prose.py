"""Prose of a page, and what in it looks measured: a number beside a unit or a metric, a word that compares."""

from __future__ import annotations

import re

from experiments.pages.blocks import blocks_of
from experiments.pages.numbers import NUMBER

COMPARATIVE = re.compile(r"\b(?:better|worse|ahead|behind|level|leads?|beats?)\b", re.I)
# Behind a number, or behind the last of several: "19 to 28 %", ".14, .30 or .45 bpp".
_UNIT = re.compile(r"(?:(?:,| to| or| and) [-+]?[\d.]+)*\s?(?:dB|bpp|%|bytes|bits|[kMG]i?B|KiB|ms|s)(?!\w)")
# A sentence with one of these is about measurements; with a codec's name it may be, where it compares.
_METRICS = re.compile(
    r"\b(?:dB|bpp|bytes|[kMG]i?B|KiB|PSNR|LPIPS|SSIM|MS-SSIM|SSIMULACRA2|FSIMc|DISTS|conv4|perceptual loss)\b|%|ΔE"
)
_CODECS = re.compile(r"\b(?:AVIF|HEVC|WebP|JPEG|JPEG2000|BPG)\b")
_NOT_PROSE = re.compile(r"^```.*?^```$|^ {4,}(?! *[*|]).*?$|<!--.*?-->", re.M | re.S)
_CODE = re.compile(r"`[^`]*`|\]\([^)]*\)")
_STARTS = re.compile(r"\n(?= *(?:[*|#-] ?|\d+\.\s))|\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.;:])\s")
_OF_IMAGES = re.compile(r"\b\d+ of (?:the )?\d+ (?:photos|images)")


def squeezed(text: str) -> str:
    return " ".join(text.split())


def paragraphs_of(page: str) -> list[str]:
    """Paragraphs, items and lines of tables, each in one line; without code, comments and all blocks."""
    for block in reversed(blocks_of(page, "page")):
        page = f"{page[: block.begin]}\n{page[block.end :]}"
    return [squeezed(part) for part in _STARTS.split(_NOT_PROSE.sub("\n\n", page)) if part.strip()]


def code_masked(text: str) -> str:
    """As long as before, without inline code and the targets of links."""
    return _CODE.sub(lambda found: "`" * len(found[0]), text)


def measured_looking(paragraph: str, masked: str) -> list[str]:
    """Of `masked`, the paragraph with blanked places: each number and word with the sentence that it is in."""
    if paragraph.startswith("|"):
        cells = [cell.strip(" *✗") for cell in masked.split("|")]
        return [f"{cell} in '{paragraph}'" for cell in cells if NUMBER.match(cell)]
    told, start = [], 0
    for end in [*(found.end() for found in _SENTENCE.finditer(paragraph)), len(paragraph)]:
        sentence, left = paragraph[start:end], masked[start:end]
        start = end
        told += [f"{what} in '{sentence.strip()}'" for what in _found(sentence, left)]
    return told


def _found(sentence: str, left: str) -> list[str]:
    found = [one[0] for one in _OF_IMAGES.finditer(left)]
    if _METRICS.search(sentence):
        numbers = NUMBER.finditer(left)
        found += [one[0] for one in numbers if "." in one[0] or _UNIT.match(left, one.end())]
    if _METRICS.search(sentence) or _CODECS.search(sentence):
        found += [one[0] for one in COMPARATIVE.finditer(left)]
    return found
