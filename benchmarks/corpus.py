"""Images a second of `hific corpus compress` with one and more workers, beside `hific compress FOLDER`.

    PYTHONPATH=. python benchmarks/corpus.py --csv benchmarks/results/corpus.csv

Each command is a process of its own, from its start to its end, and makes the same files. Start-up is what passes
before the first file: Python, torch and the model, and for a corpus Ray and its processes, of which each loads them
too. Each process has one thread. The images are crops of bundled photos.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from benchmarks.rows import write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="hific-low")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--effort", type=int, default=0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder / "photos", arguments.images, arguments.side)
        options = ["--checkpoint", arguments.model, "--effort", str(arguments.effort), "--quiet"]
        commands = {"compress": ["compress", str(folder / "photos"), "-o", str(folder / "plain")]}
        for workers in arguments.workers:
            target = str(folder / f"corpus{workers}")
            command = ["corpus", "compress", str(folder / "photos"), target, "--to", "files", "--workers", str(workers)]
            commands[f"corpus, workers {workers}"] = command
        rows = []
        for what, command in commands.items():
            seconds, first, last = timed([*command, *options], Path(command[3]))
            row = {"what": what, "seconds": round(seconds, 1), "first_file_seconds": round(first, 1)}
            row["images_per_second"] = round((arguments.images - 1) / (last - first), 2)
            row |= {key: getattr(arguments, key) for key in ("images", "side", "model", "effort")}
            rows.append(row | {"cores": os.cpu_count()})
            print(rows[-1], flush=True)
        made = [contents(path) for path in folder.iterdir() if path.name != "photos"]
        print(f"the same files: {all(one == made[0] for one in made)}")
    if arguments.csv:
        write_rows(rows, arguments.csv)


def make_images(folder: Path, count: int, side: int) -> None:
    folder.mkdir()
    photo = np.concatenate([skimage.data.astronaut(), skimage.data.astronaut()[:, ::-1]], axis=1)
    photo = np.concatenate([photo, photo[::-1]])
    for number in range(count):
        top, left = (37 * number) % (photo.shape[0] - side), (61 * number) % (photo.shape[1] - side)
        Image.fromarray(photo[top : top + side, left : left + side]).save(folder / f"{number:04d}.png")


def timed(command: list[str], target: Path) -> tuple[float, float, float]:
    """Seconds of the command, and until its first and its last file."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.time()
    subprocess.run([sys.executable, "-m", "hific.cli", *command], env=environment, check=True)
    ended = time.time()
    written = [path.stat().st_mtime for path in target.rglob("*.hfc")]
    return ended - began, min(written) - began, max(written) - began


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*.hfc"))]


if __name__ == "__main__":
    main()
