"""python -m hific.evaluation FOLDER: draws report.html again of what was measured before; nothing is measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hific.errors import OptionError, exit_on_user_error
from hific.evaluation.page.redraw import redraw_page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m hific.evaluation", description=__doc__)
    parser.add_argument("source", type=Path, metavar="FOLDER", help="of an evaluation; or its measurements.parquet")
    parser.add_argument("--title", help="in place of that of report.json")
    parser.add_argument("--output", type=Path, metavar="FILE", help="report.html beside the rows where left out")
    parser.add_argument("--max-megabytes", type=float, metavar="N", help="of the page; pictures beyond are left out")
    options = parser.parse_args(arguments)
    with exit_on_user_error():
        changes: dict[str, str | int] = {} if options.title is None else {"title": options.title}
        if options.max_megabytes is not None:
            if not options.max_megabytes > 0:
                raise OptionError(f"--max-megabytes {options.max_megabytes}: a number above 0 is due")
            changes["page_bytes"] = int(options.max_megabytes * 1e6)
        print(redraw_page(options.source, options.output, **changes))


if __name__ == "__main__":
    main()
