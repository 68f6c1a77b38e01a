"""A value that a person chose and that cannot be."""

from __future__ import annotations


class OptionError(ValueError):
    """Says which option has which value, and what it may be; told in a line by the commands."""
