"""python -m experiments.pages [--check]: what pages compute from rows, written or compared.

Tables of pages (tables.yaml), docs/claims.* and each study's paper.csv (papers.yaml), the cards of shipped models.
Claims in prose (claims.yaml) are checked, not written: a person words them. Status 1 where something differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.pages.site import claim_problems, generated_files
from hific.errors import exit_on_user_error
from hific.io.write_whole import write_whole


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.pages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    options = parser.parse_args(arguments)
    with exit_on_user_error():
        files = generated_files()
        differing = [path for path, text in files.items() if not path.is_file() or path.read_text() != text]
        for path in differing:
            print(f"{'differs' if options.check else 'written'}: {_shown(path)}")
            if not options.check:
                write_whole(path, files[path])
        problems = claim_problems()
    for problem in problems:
        print(problem)
    return 1 if problems or (options.check and differing) else 0


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
