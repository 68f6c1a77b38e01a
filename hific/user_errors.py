"""Errors that the person at the keyboard can mend are told in a line, without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told_in_a_line(*kinds: type[BaseException]) -> Iterator[None]:
    """Exits with status 1 and the message of the first of `kinds` in the chain of causes; all else passes through."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, kinds):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        sys.exit(f"error: {cause}")
