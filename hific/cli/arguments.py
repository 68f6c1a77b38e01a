"""What can be written on the command line."""

from __future__ import annotations

import argparse
import os
import re
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from hific import __version__, zoo
from hific.cli import COMMANDS
from hific.cli.study import add_study
from hific.codecs.families import FAMILIES, options_by_name

INPUTS_HELP = "files, folders (searched through), glob patterns, or - for standard input"


class CommandParser(argparse.ArgumentParser):
    """Of one command: what it does not know it tells with its own usage, and the option that was nearly written."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = list(self._option_string_actions)
            near = [match for one in unknown for match in get_close_matches(one.partition("=")[0], known, 1, 0.8)]
            hint = f" (perhaps {', '.join(near)})" if near else f"; {self.prog} --help has its options"
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options, unknown


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hific",
        description="Learned image compression: photos to .hfc files and back.",
        epilog="Exit status: 0 all done, 1 some inputs failed (the rest is done), 2 wrong usage, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"hific {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar=" | ".join(COMMANDS), parser_class=CommandParser
    )

    compress = commands.add_parser("compress", help="images to .hfc files", description="a.png -> a.hfc")
    _add_conversion(compress, "a.hfc beside a.png", "a.png.hfc and a.jpg.hfc, not a.hfc twice")
    _add_limits(compress)
    _add_codec_options(compress)
    _add_alpha(compress)

    decompress = commands.add_parser("decompress", help=".hfc files to PNG", description="a.hfc -> a.png")
    _add_conversion(decompress, "a.png beside a.hfc", "a.jpg.hfc to a.jpg.hfc.png")
    _add_codec_options(decompress, decoding=True)

    info = commands.add_parser("info", help="what .hfc files say of themselves; needs no checkpoint")
    info.add_argument("inputs", nargs="+", metavar="input", help=INPUTS_HELP)
    info.add_argument("--json", action="store_true", help="a JSON list, one object a file")

    models = commands.add_parser("models", help="the trained models of this package", description="NAME: its card")
    models.add_argument("name", nargs="?", choices=zoo.MODELS, metavar="NAME", help=", ".join(zoo.MODELS))

    gallery = commands.add_parser(
        "gallery",
        help="a page on which the pictures of an evaluation are looked at side by side",
        description="One folder, which opens from disk and needs no server: photos by systems under one zoom, with a "
        "slider, differences and the numbers under each.",
    )
    gallery.add_argument("evaluation", type=Path, metavar="EVALUATION", help="a folder that evaluate.py wrote")
    gallery.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="default: gallery in EVALUATION; a gallery is replaced"
    )
    gallery.add_argument("--title", help="in place of the evaluation's")
    gallery.add_argument(
        "--max-megabytes",
        type=_rate,
        default=Fraction(250),
        metavar="N",
        help="of all pictures: beyond, they are kept in AVIF of high quality, then left out (default 250)",
    )

    add_study(commands)
    _add_shards(commands)
    corpus = commands.add_parser("corpus", help="collections of images, on the cores and machines of a Ray cluster")
    _add_corpus(corpus)
    return parser


def _add_shards(commands: argparse._SubParsersAction[Any]) -> None:
    shards = commands.add_parser("shards", help="photos to shards, for training by data=shards")
    make = shards.add_subparsers(dest="action", required=True, metavar="make").add_parser(
        "make",
        help="a folder of photos to shards",
        description="FOLDER, with train/val/test folders or flat, to DST; what is there is not made again.",
    )
    make.add_argument("folder", metavar="FOLDER", help="photos, at any depth")
    make.add_argument("destination", metavar="DST", help="a folder, or a URL such as s3://bucket/name ([shards])")
    make.add_argument("--shard-mb", type=_positive, default=512, metavar="N", help="megabytes a shard (default 512)")
    make.add_argument(
        "--store",
        choices=("files", "pixels"),
        default="files",
        help="files as they are (default), or their pixels: several times the bytes, of which a crop reads its own",
    )
    make.add_argument("--no-check", action="store_true", help="read headers only; damage shows in training")
    make.add_argument("--jobs", type=_positive, default=1, metavar="N", help="shards at a time (default 1)")
    make.add_argument("--quiet", action="store_true", help="only errors on standard error")


def _add_corpus(corpus: argparse.ArgumentParser) -> None:
    actions = corpus.add_subparsers(dest="action", required=True, metavar="compress")
    compress = actions.add_parser(
        "compress",
        help="all images of a folder or URL",
        description="All images below SRC. The same command again does what is missing: new images, changed ones, and "
        "those that failed.",
    )
    compress.add_argument("source", metavar="SRC", help="a folder, or a URL that fsspec opens, such as s3://BUCKET/A")
    compress.add_argument("target", metavar="DST", help="a folder")
    compress.add_argument(
        "--to",
        choices=("parquet", "files"),
        default="parquet",
        help="parquet: DST/rows, a row an image with its bytes, sizes and digests (default); files: SRC/a/b.png to "
        "DST/a/b.hfc",
    )
    compress.add_argument("--workers", type=_positive, metavar="N", help="processes (default: as the CPUs allow)")
    compress.add_argument("--cpus-per-worker", type=_positive, default=1, metavar="N", help="default 1")
    compress.add_argument(
        "--gpus-per-worker", type=_share, metavar="X", help="default 1 with --device cuda; .25: four workers share one"
    )
    compress.add_argument(
        "--address",
        default="local",
        metavar="ADDRESS",
        help="of a Ray cluster: local starts one on this machine (default), auto finds the one of this machine, "
        "HOST:PORT. Its machines need this package, and the checkpoint and SRC under the same names",
    )
    _add_model(compress)
    _add_limits(compress)
    _add_codec_options(compress)
    _add_alpha(compress)
    compress.add_argument("--force", action="store_true", help="replace a corpus of other options, and others' files")
    _add_told(compress, "a.png.hfc and a.jpg.hfc, not a.hfc twice (--to files)")


def _add_conversion(parser: argparse.ArgumentParser, default_output: str, suffix_example: str) -> None:
    parser.add_argument("inputs", nargs="+", metavar="input", help=INPUTS_HELP)
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help=f"a folder, a file (for one input), or - for standard output; default: {default_output}",
    )
    _add_model(parser)
    parser.add_argument("--jobs", type=_positive, default=1, metavar="N", help="images at a time (default 1)")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--force", action="store_true", help="overwrite existing files")
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave inputs whose output exists, without an error"
    )
    _add_told(parser, suffix_example)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        action="append",
        metavar="CKPT",
        help="trained model, a file of your own or a name that `hific models` lists; may be given several times: a "
        "file is decompressed by the one that made it, and an image compressed by the one that suits --max-bytes or "
        f"--bpp best; default: $HIFIC_CHECKPOINT (several joined by {os.pathsep!r}), else the shipped models, of which "
        f"{zoo.DEFAULT} compresses where there is no limit",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the networks run (default cpu)")


def _add_alpha(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alpha",
        choices=("composite", "refuse"),
        default="composite",
        help="transparent pixels: composite on white (default), or refuse the image",
    )


def _add_told(parser: argparse.ArgumentParser, suffix_example: str) -> None:
    parser.add_argument(
        "--keep-suffix",
        action="store_true",
        help=f"add the suffix to the whole name: {suffix_example}",
    )
    parser.add_argument("--quiet", action="store_true", help="only errors on standard error")


def _add_codec_options(parser: argparse.ArgumentParser, *, decoding: bool = False) -> None:
    """What may be chosen of the codecs of any family (codecs/families.py); a decoder has fewer choices."""
    for name, owners in options_by_name().items():
        about = owners[0][1].metadata
        if decoding and about["encoder_only"]:
            continue
        only = "" if len(owners) == len(FAMILIES) else f"{', '.join(family for family, _ in owners)} only: "
        spelled, text = f"--{name.replace('_', '-')}", f"{only}{about['help']}"
        if about["choices"]:
            parser.add_argument(spelled, choices=about["choices"], help=text)
        elif name == "post_filter":
            parser.add_argument(spelled, action=argparse.BooleanOptionalAction, help=text)
        else:
            parser.add_argument(spelled, type=_whole, metavar="N", help=text)


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


def _share(text: str) -> float:
    value = float(text) if re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", text) else -1.0
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
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
