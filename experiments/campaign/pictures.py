"""Crops at 1:1 of originals, a shipped model's and AVIF's reconstructions: docs/shipped_wins.jpg and _loses.jpg.

    python -m experiments.campaign.pictures EVALUATION

EVALUATION: the folder of the command in cards.py, with panel.images=[kodim01,kodim04,kodim14,kodim20]. AVIF is shown at
its size above the model's file, so that it has the more bytes. Chosen by eye: one pair in which the model looks better,
one in which it looks worse.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hific.evaluation.equal_bytes import NEXT_SIZE
from hific.evaluation.folder import EvaluationFolder, read_rows

WIDTH, HEIGHT, BAR = 320, 230, 22
# (image, rate, left, top)
PICTURES = {
    "shipped_wins": (("kodim01", "medium", 170, 150), ("kodim14", "low", 220, 200)),
    "shipped_loses": (("kodim04", "low", 140, 110), ("kodim20", "low", 300, 180)),
}


def draw(folder: EvaluationFolder, crops: Sequence[tuple[str, str, int, int]]) -> Image.Image:
    sizes = {(row.system, row.image): row.num_bytes for row in read_rows(folder.root / "measurements.parquet")}
    canvas = Image.new("RGB", (3 * WIDTH, len(crops) * (HEIGHT + BAR)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for line, (image, rate, left, top) in enumerate(crops):
        ours = f"hific-xgboost-{rate}, xgboost"
        avif = f"avif <= {ours}{NEXT_SIZE}"
        labels = (image, f"hific-xgboost-{rate}, {sizes[ours, image]} bytes", f"AVIF, {sizes[avif, image]} bytes")
        for column, (system, label) in enumerate(zip(("original", ours, avif), labels, strict=True)):
            pixels = np.asarray(folder.read_reconstruction(system, image))[top : top + HEIGHT, left : left + WIDTH]
            place = (column * WIDTH, line * (HEIGHT + BAR))
            pen.text((place[0] + 4, place[1] + 2), label, "black", font)
            canvas.paste(Image.fromarray(pixels), (place[0], place[1] + BAR))
    return canvas


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs"))
    options = parser.parse_args(arguments)
    for name, crops in PICTURES.items():
        draw(EvaluationFolder(options.evaluation), crops).save(
            options.output / f"{name}.jpg", quality=93, subsampling=0
        )


if __name__ == "__main__":
    main()
