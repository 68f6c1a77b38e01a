"""Command lines of `hific` put together at random, of good, damaged and missing files: a status, no traceback."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.fuzz.tiny_models import tiny_checkpoints
from hific.cli import main
from hific.codecs.load import load_codec

MOST_SECONDS = 5.0
STATUSES = (0, 1, 2)
COMMANDS = ("compress", "decompress", "info", "models", "compress", "decompress", "info", "", "-x", "comp")
VALUES = ("", "0", "1", "-1", "0.5", ".", "nan", "1e9", "99999999999999999999", "a b", "\udcff", "--", "é", "x" * 300)
INPUTS = ("a.png", "a.hfc", "b.png", "damaged.png", "cut.hfc", "missing.png", "folder", "*.png", "nothing*", "m.ckpt")
INPUTS += ("empty", "other.hfc", "loop", "folder/a.png", "/dev/null")
OPTIONS = ("--checkpoint", "-o", "--output", "--device", "--jobs", "--force", "--quiet", "--alpha", "--coder", "--tile")
OPTIONS += ("--precision", "--max-pixels", "--max-bytes", "--bpp", "--post-filter", "--no-post-filter", "--json")
OPTIONS += ("--switch-source", "--help", "--version", "--unknown")
ARGUMENTS = (
    "m.ckpt",
    "other.ckpt",
    "cut.ckpt",
    "out/",
    "out.hfc",
    "out.png",
    "folder",
    "cpu",
    "tables",
    "context_coded",
)
ARGUMENTS += ("refuse", "composite", "float32", "16", "100", "0.2", "top_left", *VALUES)


@cache
def folder() -> Path:
    """Files for inputs; it stays until the process ends."""
    root = Path(_kept().name)
    rng = np.random.default_rng(0)
    (root / "folder").mkdir()
    os.symlink(root / "folder", root / "folder" / "loop")
    os.symlink(root / "loop", root / "loop")
    for name, size in (("a.png", (20, 24)), ("b.png", (40, 17)), ("folder/a.png", (9, 9)), ("folder/b.png", (8, 30))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / name)
    for name, model in (("m.ckpt", "hific_linear"), ("other.ckpt", "sae_spn")):
        torch.save(tiny_checkpoints()[model], root / name)
    (root / "cut.ckpt").write_bytes((root / "m.ckpt").read_bytes()[:-500])
    image = Image.open(root / "a.png")
    for name, checkpoint in (("a.hfc", "m.ckpt"), ("other.hfc", "other.ckpt")):
        (root / name).write_bytes(load_codec(root / checkpoint).compress(image))
    (root / "cut.hfc").write_bytes((root / "a.hfc").read_bytes()[:-5])
    (root / "damaged.png").write_bytes((root / "a.png").read_bytes()[:200])
    (root / "empty").write_bytes(b"")
    return root


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def command_line(rng: np.random.Generator) -> list[str]:
    """A command with inputs, mostly a checkpoint, and options in any order."""
    command = str(rng.choice(COMMANDS))
    words = [str(rng.choice(INPUTS)) for _ in range(int(rng.integers(0, 4)))]
    if command in ("compress", "decompress") and rng.random() < 0.9:
        words += ["--checkpoint", "m.ckpt"]
    for _ in range(int(rng.choice((0, 0, 1, 2, 3)))):
        at = int(rng.integers(len(words) + 1))
        option = [str(rng.choice(OPTIONS))]
        words[at:at] = option + ([str(rng.choice(ARGUMENTS))] if rng.random() < 0.6 else [])
    return [command, *words]


def try_command_line(seed: int) -> str:
    """The status of the command line of this seed."""
    words = command_line(np.random.default_rng([4, seed]))
    out, said = _binary(), _binary()
    with _inside(folder()), contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        try:
            status = main(words)
        except SystemExit as stop:  # argparse's way to end
            status = int(stop.code or 0)
    text = "".join(stream.buffer.getvalue().decode(errors="replace") for stream in (said, out))  # type: ignore[attr-defined]
    assert status in STATUSES and "Traceback" not in text, f"{words}: {status} {text[-300:]}"
    assert status == 0 or text, f"{words}: {status} without a word"
    return f"status {status}"


@contextlib.contextmanager
def _inside(root: Path) -> Iterator[None]:
    """With the folder as the present one, and what is written into it taken away."""
    before, kept = Path.cwd(), set(root.rglob("*"))
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)
        for path in sorted(set(root.rglob("*")) - kept, reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _binary() -> io.TextIOWrapper:
    """Standard output and error as a process has them, in memory."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
