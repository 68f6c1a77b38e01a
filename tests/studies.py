"""Studies for tests: a manifest without pictures, a server in a process of its own, and what a browser sends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from hific.study.manifest import Catch, Crop, Manifest, Pair, Picture

SYSTEMS = ("hific, low", "avif", "webp", "jpeg")


def new_manifest(*, crops: int = 10, systems: int = 4, trials: int = 30, catches: int = 4) -> Manifest:
    """Every pair of systems in every crop, and a catch trial in each; pictures are names alone."""
    names = SYSTEMS[:systems]
    shown = [
        Crop(
            photo=f"photo{number // 2}",
            x=0,
            y=0,
            width=64,
            height=64,
            original=f"o{number}",
            shown={name: f"s{place}n{number}" for place, name in enumerate(names)},
        )
        for number in range(crops)
    ]
    pairs = [
        Pair(crop=number, systems=(first, second), num_bytes=(1000, 990))
        for number in range(crops)
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    ]
    caught = [Catch(crop=number, original=f"c{number}", degraded=f"d{number}") for number in range(crops)]
    ids = {name for crop in shown for name in (crop.original, *crop.shown.values())}
    ids |= {name for catch in caught for name in (catch.original, catch.degraded)}
    return Manifest(
        title="t",
        question="q",
        consent="c",
        seed=0,
        crop_size=64,
        tolerance=0.1,
        trials=trials,
        catches=catches,
        matched=(1, 1),
        versions="",
        evaluation="",
        systems=names,
        pictures={name: Picture(sha256="", width=64, height=64) for name in sorted(ids)},
        crops=tuple(shown),
        pairs=tuple(pairs),
        catch_pairs=tuple(caught),
        left_out=(),
    )


SCREEN = {
    "screen_width": 1280,
    "screen_height": 1000,
    "window_width": 1280,
    "window_height": 900,
    "pixel_ratio": 1.0,
    "touch": False,
}
HIFIC = [sys.executable, "-m", "hific.cli"]


@dataclass
class Server:
    """`hific study serve` at `address`, which ends in a slash."""

    process: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        """As a power failure would, but for the disk."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def port(self) -> int:
        return int(httpx.URL(self.address).port or 0)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    port = () if "--port" in options else ("--port", "0")
    command = [*HIFIC, "study", "serve", str(folder), *port, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    try:
        assert line.startswith("http://"), line
        yield Server(process, line)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        process.stdout.close()


def vote_body(trial: int, side: str, **changes: Any) -> dict[str, Any]:
    return {
        "trial": trial,
        "side": side,
        "milliseconds": 900,
        "looks": 1,
        "layout": "three",
        "pixel_ratio": 1.0,
        **changes,
    }
