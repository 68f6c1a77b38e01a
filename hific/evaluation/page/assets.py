"""Templates, styles and scripts of pages: what stands inside of a page is permitted by its hash alone."""

from __future__ import annotations

import base64
import re
from functools import cache
from hashlib import sha256
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

# What HTML has no characters for: controls, and halves of a pair, as Python reads a file's name that is no UTF-8.
_ILLEGIBLE = re.compile("[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f]")


def legible(text: str) -> str:
    """With a sign in place of every character that HTML has not."""
    return _ILLEGIBLE.sub("\ufffd", text)


@cache
def joined(*names: str) -> str:
    """Files beside this one, one behind the other."""
    return "".join(resources.files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)


@cache
def template(name: str) -> Template:
    """Of a file beside this one; what it prints is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(joined(name))


def policy_source(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
