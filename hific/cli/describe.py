"""`hific info`: what files say of themselves, read from their bytes alone; `hific models`: the trained models of this
package, and the card of each. No checkpoint, no torch.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from dataclasses import asdict

from hific import zoo
from hific.cli.plan import Input, find_inputs
from hific.coding.container import FileInfo, read_info
from hific.errors import BitstreamError


def run_info(options: argparse.Namespace) -> int:
    """Text or JSON on standard output; 1 if a file could not be read, is none of ours, or fails its checksum."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file may have a name that is no text; the others are still to be listed.
        sys.stdout.reconfigure(errors="backslashreplace")
    inputs, problems = find_inputs(options.inputs, frozenset((".hfc",)))
    described: list[tuple[Input, FileInfo]] = []
    for source in inputs:
        try:
            described.append((source, read_info(source.read())))
        except BitstreamError as error:
            problems.append(f"{source}: {error}")
        except OSError as error:
            problems.append(f"{source}: {error.strerror}")
    if options.json:
        print(json.dumps([_as_json(source, info) for source, info in described], indent=2))
    else:
        for source, info in described:
            print(_as_text(source, info))
    for problem in problems:
        print(f"hific: {problem}", file=sys.stderr)
    return 1 if problems or not all(info.checksum_ok for _, info in described) else 0


def _shipped(info: FileInfo) -> str | None:
    return zoo.made_by(bytes.fromhex(info.fingerprint))


def _as_json(source: Input, info: FileInfo) -> dict[str, object]:
    # Whoever averages rates must not be given one of a damaged file.
    described = {"file": str(source), **asdict(info), "shipped_model": _shipped(info)}
    return described | ({} if info.checksum_ok else {"bpp": None})


def _as_text(source: Input, info: FileInfo) -> str:
    checksum = "ok" if info.checksum_ok else "mismatch: the file is damaged"
    coder = f"{info.coder}, post-filter" if info.post_filter else info.coder
    rate = f"{info.bpp:.4f} bpp" if info.checksum_ok else "DAMAGED: the rest may be wrong"
    shipped = f" ({name})" if (name := _shipped(info)) else ""
    return (
        f"{source}: {info.width}x{info.height}, {info.num_bytes} bytes, {rate}\n"
        f"  header {info.num_header_bytes} bytes (checksum included), payload {info.num_payload_bytes} bytes\n"
        f"  {info.codec} model {info.fingerprint}{shipped}, coder {coder}, format version {info.version}\n"
        f"  checksum {checksum}"
    )


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
