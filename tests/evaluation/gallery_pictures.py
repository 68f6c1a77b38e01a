"""A real evaluation of odd photos for the gallery: names of HTML and of other scripts, one pixel, very wide, and
pictures that are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import skimage.data

from hific.codecs.pillow_codecs import PillowCodec
from hific.evaluation.codecs_under_test import EncodeSpec, FixedCodec, Pixels
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder, write_rows
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.page.redraw import CONTEXT
from hific.evaluation.report import ReportContext
from hific.evaluation.run import measure_all
from hific.io.write_whole import write_whole
from hific.metrics.fidelity import MSE, PSNR, SSIM

ODD, SCRIPT, DOT, WIDE = "<b>face & 'suit\"</b>", "日本 ☃, #100%", "dot", "wide"
LOW, HIGH = "<i>j2k</i> low", "<i>j2k</i> high"
AT_LOW = [LOW, f"jpeg <= {LOW}", f"webp <= {LOW}"]
AT_HIGH = [HIGH, f"jpeg <= {HIGH}", f"webp <= {HIGH}"]


def odd_photos() -> dict[str, Pixels]:
    photo = skimage.data.astronaut()
    return {
        ODD: photo[:200, 100:440],
        SCRIPT: photo[200:440, 60:260],
        DOT: np.full((1, 1, 3), (10, 200, 30), np.uint8),
        WIDE: np.tile(photo[100:112], (1, 4, 1)),
    }


def evaluate_photos(photos: Mapping[str, Pixels], root: Path, systems: Sequence[str] = (*AT_LOW, *AT_HIGH)) -> Path:
    """As evaluate.py leaves them: two systems at their rates, two codecs as at the bytes of each, whose settings are
    not searched for. Of SCRIPT two pictures were lost and a system has no row."""
    images = [EvaluationImage(name, partial(np.array, pixels)) for name, pixels in photos.items()]
    settings = {LOW: ("jpeg2000", 1120), HIGH: ("jpeg2000", 1250)}
    settings |= {AT_LOW[1]: ("jpeg", 10), AT_HIGH[1]: ("jpeg", 30), AT_LOW[2]: ("webp", 20), AT_HIGH[2]: ("webp", 60)}
    under_test = [
        FixedCodec(name, EncodeSpec(PillowCodec(*codec), fingerprint=name if name in (LOW, HIGH) else ""))
        for name, codec in settings.items()
        if name in systems
    ]
    folder = EvaluationFolder(root, keep=set(photos))
    is_large = any(pixels.size > 10**7 for pixels in photos.values())
    metrics = Metrics([MSE()] if is_large else [PSNR(), SSIM(), MSE()])
    rows = measure_all(under_test, [], {}, images, metrics, folder)
    limits = {(row.system, row.image): row.num_bytes for row in rows}
    rows = [replace(row, max_bytes=limits.get((row.system.partition(" <= ")[2], row.image))) for row in rows]
    if SCRIPT in photos:
        folder.reconstruction_path(AT_LOW[1], SCRIPT).unlink()
        folder.reconstruction_path(AT_LOW[2], SCRIPT).unlink()
        rows = [row for row in rows if (row.system, row.image) != (AT_LOW[2], SCRIPT)]
        rows = [replace(row, note="a <note>") if row.image == ODD else row for row in rows]
    write_rows(rows, root / "measurements.parquet")
    context = ReportContext("Odd & <photos>", "bundled")
    write_whole(root / CONTEXT, json.dumps(asdict(context)))
    return root
