"""Perceptual metrics of the codec world without networks, by programs: Butteraugli and VMAF."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from hific.metrics.image_metric import Absent, check_pair, smaller_than
from hific.programs import ProgramError, find_ffmpeg, find_program, run_program, version_of

BUTTERAUGLI = "butteraugli_main"
VMAF_FILTER = ("-filters", "libvmaf")
SMALLEST_BUTTERAUGLI = 8
SMALLEST_VMAF = 17
"""Below, libvmaf has no coarsest scale, and ends without a word."""


class Butteraugli:
    """Distance of how the eye sees both at 80 nits (Alakuijala 2017), the 3-norm over the image: 0 is identical, 1
    hardly told apart. By `butteraugli_main` of libjxl; absent where it is not on PATH."""

    name = "butteraugli"
    higher_is_better = False

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        program = find_program(BUTTERAUGLI)
        if program is None:
            return Absent(f"no {BUTTERAUGLI} on PATH (it is part of libjxl)")
        if absent := smaller_than(image, SMALLEST_BUTTERAUGLI):
            return absent
        with TemporaryDirectory() as folder:
            for name, pixels in (("image.png", image), ("reconstruction.png", reconstruction)):
                Image.fromarray(pixels).save(Path(folder) / name)
            try:
                said = run_program([program, "image.png", "reconstruction.png"], folder=Path(folder)).decode()
                return float(said.split("3-norm:", 1)[1].split()[0])
            except (ProgramError, IndexError, ValueError) as error:
                return Absent(f"{BUTTERAUGLI} gives no number ({error})", for_now=True)


_LUMA = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_inp,format=yuv444p"


class VMAF:
    """Netflix's prediction of how viewers rate it (model vmaf_v0.6.1), 100 at best, of luma as a single frame: without
    motion an identical image is at some 97. By an ffmpeg that has libvmaf; absent where there is none."""

    name = "vmaf"
    higher_is_better = True

    def __call__(self, image: np.ndarray, reconstruction: np.ndarray) -> float | Absent:
        check_pair(image, reconstruction)
        program = find_ffmpeg(*VMAF_FILTER)
        if program is None:
            return Absent("no ffmpeg with libvmaf (pip install 'hific[codecs]')")
        if absent := smaller_than(image, SMALLEST_VMAF):
            return absent
        height, width = image.shape[:2]
        # Both in a stream, one above the other: there is a single standard input.
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{2 * height}", "-i", "-"]
        parts = (
            f"[above]crop={width}:{height}:0:0,{_LUMA}[image];[below]crop={width}:{height}:0:{height},{_LUMA}[other]"
        )
        measured = "[other][image]libvmaf=model=version=vmaf_v0.6.1:log_fmt=json:log_path=log.json"
        graph = f"split[above][below];{parts};{measured}"
        command = [program, "-hide_banner", "-loglevel", "error", *source, "-lavfi", graph, "-f", "null", "-"]
        with TemporaryDirectory() as folder:
            try:
                run_program(command, np.concatenate((image, reconstruction)).tobytes(), folder=Path(folder))
                return float(json.loads((Path(folder) / "log.json").read_text())["frames"][0]["metrics"]["vmaf"])
            except (ProgramError, OSError, ValueError, KeyError) as error:
                return Absent(f"ffmpeg's libvmaf gives no number ({error})", for_now=True)


def program_versions() -> dict[str, str | None]:
    """Of those that are there. `butteraugli_main` tells none, and is known by its bytes."""
    ffmpeg, butteraugli = find_ffmpeg(*VMAF_FILTER), find_program(BUTTERAUGLI)
    return {
        "ffmpeg": version_of(ffmpeg, "-version") if ffmpeg else None,
        BUTTERAUGLI: hashlib.sha256(Path(butteraugli).read_bytes()).hexdigest() if butteraugli else None,
    }
