"""`hific models`: the trained models of this package, and the card of each."""

from __future__ import annotations

import argparse

from hific import zoo


def run_models(options: argparse.Namespace) -> int:
    """A line for each, or the card of one."""
    if options.name is not None:
        print((zoo.FOLDER / f"{options.name}.md").read_text(), end="")
        return 0
    for name in zoo.MODELS:
        model = zoo.describe(name)
        default = "  (default)" if name == zoo.DEFAULT else ""
        print(f"{name:22} model {model.fingerprint[:8]}, {model.training['about']}{default}")
    return 0
