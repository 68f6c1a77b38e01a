"""A fault put into one place of the suite on purpose, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """`old`, which `file` has exactly once, becomes `new`; `tests`: paths and options of pytest."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
