"""What can be written on the command line."""

from __future__ import annotations

import argparse

from hific import __version__
from hific.codecs.pixel_limit import DEFAULT_MAX_PIXELS, estimated_memory

INPUTS_HELP = "files, folders (searched through), glob patterns, or - for standard input"


class UsageError(Exception):
    """The request as a whole cannot be done; nothing was started. Exit status 2."""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hific",
        description="Learned image compression: photos to .hfc files and back.",
        epilog="Exit status: 0 all done, 1 some inputs failed (the rest is done), 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"hific {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="compress | decompress | info")

    compress = commands.add_parser("compress", help="images to .hfc files", description="a.png -> a.hfc")
    _add_conversion(compress, "a.hfc beside a.png")
    compress.add_argument(
        "--coding",
        choices=("packed", "static", "context"),
        default="context",
        help="how the latent becomes bytes; context (default) is the smallest",
    )
    compress.add_argument(
        "--alpha",
        choices=("composite", "refuse"),
        default="composite",
        help="transparent pixels: composite on white (default), or refuse the image",
    )

    decompress = commands.add_parser("decompress", help=".hfc files to PNG", description="a.hfc -> a.png")
    _add_conversion(decompress, "a.png beside a.hfc")

    info = commands.add_parser("info", help="what .hfc files say of themselves; needs no checkpoint")
    info.add_argument("inputs", nargs="+", metavar="input", help=INPUTS_HELP)
    info.add_argument("--json", action="store_true", help="a JSON list, one object a file")
    return parser


def _add_conversion(parser: argparse.ArgumentParser, default_output: str) -> None:
    parser.add_argument("inputs", nargs="+", metavar="input", help=INPUTS_HELP)
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help=f"a folder, a file (for one input), or - for standard output; default: {default_output}",
    )
    parser.add_argument("--checkpoint", metavar="CKPT", help="trained model; default: $HIFIC_CHECKPOINT")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the networks run (default cpu)")
    parser.add_argument("--jobs", type=_positive, default=1, metavar="N", help="images at a time (default 1)")
    parser.add_argument(
        "--max-pixels",
        type=_positive,
        metavar="N",
        help=f"largest image, padding included (default {DEFAULT_MAX_PIXELS}); coding takes about "
        f"{estimated_memory(1000, 16) / 1e6:.1f} GB of memory a megapixel with a model of size=small, "
        f"{estimated_memory(1000, 60) / 1e6:.1f} GB with size=paper, and that for each of --jobs",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.add_argument("--quiet", action="store_true", help="only errors on standard error")


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value
