"""What can be written on the command line."""

from __future__ import annotations

import argparse
import os
import re
from fractions import Fraction

from hific import __version__
from hific.codecs.pixel_limit import DECODE_MAX_PIXELS, DEFAULT_MAX_PIXELS, estimated_memory

INPUTS_HELP = "files, folders (searched through), glob patterns, or - for standard input"


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
    _add_limits(compress)
    compress.add_argument(
        "--coding",
        choices=("packed", "static", "context", "hyperprior", "neighbor"),
        help="how the latent becomes bytes: packed, static or context of CompressNet, hyperprior of HiFiC, neighbor of "
        "those that have a predictor; the last that a model has (default) is the smallest",
    )
    compress.add_argument(
        "--no-refine",
        dest="refine",
        action="store_const",
        const=False,
        help="leave out the refinement of decoded images, of models that have one: which tiles gain by it is found by "
        "decoding them, which takes time",
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
    parser.add_argument(
        "--checkpoint",
        action="append",
        metavar="CKPT",
        help="trained model; may be given several times: a file is decompressed by the one that made it, and an image "
        "compressed by the one that suits --max-bytes or --bpp best; default: $HIFIC_CHECKPOINT (several joined by "
        f"{os.pathsep!r})",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the networks run (default cpu)")
    parser.add_argument("--jobs", type=_positive, default=1, metavar="N", help="images at a time (default 1)")
    parser.add_argument(
        "--tile",
        type=_whole,
        metavar="N",
        help="HiFiC only: pixels a side that its networks see at a time, rounded down to a multiple of 16 (default "
        "1024); less takes less memory and more time, 0 is the whole image at once; need not be the same for both ways",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        help="HiFiC only: of its networks (default float32); files can be decompressed with either. bfloat16 is for "
        "GPUs: most processors take longer with it, and several times the memory",
    )
    parser.add_argument(
        "--max-pixels",
        type=_positive,
        metavar="N",
        help=f"largest image, padding included; default: {DEFAULT_MAX_PIXELS} for CompressNet, which codes an image "
        f"whole, in about {estimated_memory(1000, 16) / 1e6:.1f} GB of memory a megapixel at size=small and "
        f"{estimated_memory(1000, 60) / 1e6:.1f} GB at size=paper, for each of --jobs; {DECODE_MAX_PIXELS} for HiFiC, "
        "which codes in tiles",
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.add_argument("--quiet", action="store_true", help="only errors on standard error")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--max-bytes",
        type=_positive,
        metavar="N",
        help="largest file: each image is compressed with all checkpoints that take its size, and the largest file of "
        "at most N bytes is kept; an image without one fails",
    )
    limits.add_argument(
        "--bpp", type=_rate, metavar="B", help="the same limit in bits per pixel of each image, such as 0.15"
    )


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _rate(text: str) -> Fraction:
    """Exact: .3 bits for each of 80 pixels are 3 bytes, which floats make 2.99."""
    value = Fraction(text) if re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", text) else Fraction(0)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a decimal number above 0")
    return value
