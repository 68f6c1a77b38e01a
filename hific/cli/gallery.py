"""`hific gallery`: the pictures of an evaluation as a folder that opens from disk."""

from __future__ import annotations

import argparse
import sys

from hific.errors import as_usage_error


def run_gallery(options: argparse.Namespace) -> int:
    """The page's path and what it shows on standard output, what is missing on it on standard error. UsageError
    where there is nothing to show or the folder must not be written."""
    from hific.evaluation.page.gallery import write_gallery

    limit = int(options.max_megabytes * 1_000_000)
    with as_usage_error(options.evaluation):
        made = write_gallery(options.evaluation, options.output, title=options.title, max_bytes=limit)
    photos, kind = ("photo" if made.num_photos == 1 else "photos"), ("system" if made.num_systems == 1 else "systems")
    size = f"{made.num_bytes / 1e6:.1f} MB"
    print(f"{made.index}: {made.num_photos} {photos} by {made.num_systems} {kind}, {size}")
    if made.left_out:
        names = ", ".join(made.left_out)
        print(f"hific: left out beyond --max-megabytes {float(options.max_megabytes):g}: {names}", file=sys.stderr)
    if made.num_unkept:
        print(
            f"hific: of {made.num_unkept} more no pictures were kept: evaluate.py reconstructions=all keeps all",
            file=sys.stderr,
        )
    return 0
