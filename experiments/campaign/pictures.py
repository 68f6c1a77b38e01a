"""Crops at 1:1 of originals, a shipped model's reconstructions and AVIF's: docs/shipped_*.jpg.

    python -m experiments.campaign.pictures EVALUATION SEARCHED

The folders of a family's two commands in cards.py, with panel.images=[kodim01,kodim04,kodim08,kodim14,kodim20,kodim23].
AVIF is shown at its size above the model's file, so that it has the more bytes. Chosen by eye: of HiFiC one pair in
which the model looks better, one in which it looks worse; of CompressNet both in one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hific.evaluation.equal_bytes import NEXT_SIZE
from hific.evaluation.folder import EvaluationFolder, read_rows

WIDTH, HEIGHT, BAR, EFFORT = 256, 224, 22, 60
# (image, model, left, top)
PICTURES = {
    "shipped_wins": (("kodim01", "hific-xgboost-medium", 170, 150), ("kodim14", "hific-xgboost-low", 220, 200)),
    "shipped_loses": (("kodim04", "hific-xgboost-low", 140, 110), ("kodim20", "hific-xgboost-low", 300, 180)),
    "shipped_compressnet": (("kodim23", "compressnet-high", 240, 60), ("kodim04", "compressnet-low", 140, 110)),
}


def draw(
    plain: EvaluationFolder, searched: EvaluationFolder, crops: Sequence[tuple[str, str, int, int]]
) -> Image.Image:
    canvas = Image.new("RGB", (4 * WIDTH, len(crops) * (HEIGHT + BAR)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    for line, (image, model, left, top) in enumerate(crops):
        ours, rate = f"{model}, xgboost", model.rpartition("-")[2]
        shown = (
            (plain, "original", f"{image}, {rate}"),
            (plain, ours, model.partition("-")[0]),
            (searched, f"{ours}, effort {EFFORT}", f"with --effort {EFFORT}"),
            (plain, f"avif <= {ours}{NEXT_SIZE}", "AVIF"),
        )
        for column, (folder, system, label) in enumerate(shown):
            pixels = np.asarray(folder.read_reconstruction(system, image))[top : top + HEIGHT, left : left + WIDTH]
            place = (column * WIDTH, line * (HEIGHT + BAR))
            size = _sizes(folder).get((system, image))
            pen.text((place[0] + 4, place[1] + 3), f"{label}, {size} bytes" if size else label, "black", font)
            canvas.paste(Image.fromarray(pixels), (place[0], place[1] + BAR))
    return canvas


def _sizes(folder: EvaluationFolder) -> dict[tuple[str, str], int]:
    return {(row.system, row.image): row.num_bytes for row in read_rows(folder.root / "measurements.parquet")}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("searched", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs"))
    options = parser.parse_args(arguments)
    measured = {row.system for row in read_rows(options.evaluation / "measurements.parquet")}
    for name, crops in PICTURES.items():
        if not all(f"{model}, xgboost" in measured for _, model, _, _ in crops):
            continue
        canvas = draw(EvaluationFolder(options.evaluation), EvaluationFolder(options.searched), crops)
        canvas.save(options.output / f"{name}.jpg", quality=93, subsampling=0)


if __name__ == "__main__":
    main()
