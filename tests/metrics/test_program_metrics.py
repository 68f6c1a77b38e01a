"""Butteraugli and VMAF by their programs, against other implementations; absent with the reason without them."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hific import programs
from hific.metrics.image_metric import Absent
from hific.metrics.program_metrics import VMAF, VMAF_FILTER, Butteraugli, program_versions

# By vmaf-torch 1.1.0, in floating point where libvmaf counts in integers, of the same luma.
VMAF_OF_JPEG = {15: 80.2329, 40: 91.1331, 90: 96.4732}


@pytest.fixture(autouse=True)
def _programs_are_looked_for() -> Iterator[None]:
    programs.find_program.cache_clear()
    programs.find_ffmpeg.cache_clear()
    yield
    programs.find_program.cache_clear()
    programs.find_ffmpeg.cache_clear()


@pytest.fixture
def _with_vmaf() -> None:
    if programs.find_ffmpeg(*VMAF_FILTER) is None:
        pytest.skip("no ffmpeg with libvmaf")


@pytest.fixture
def _with_butteraugli() -> None:
    if programs.find_program("butteraugli_main") is None:
        pytest.skip("no butteraugli_main on PATH")


def jpeg(photo: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.usefixtures("_with_vmaf")
@pytest.mark.parametrize("quality", VMAF_OF_JPEG)
def test_vmaf_is_that_of_another_implementation(quality: int, photo: np.ndarray) -> None:
    assert VMAF()(photo, jpeg(photo, quality)) == pytest.approx(VMAF_OF_JPEG[quality], abs=0.05)


@pytest.mark.usefixtures("_with_vmaf")
def test_vmaf_knows_the_original_and_what_is_too_small(photo: np.ndarray) -> None:
    coded = jpeg(photo, 15)
    forth, back = VMAF()(photo, coded), VMAF()(coded, photo)
    assert isinstance(forth, float) and isinstance(back, float) and abs(forth - back) > 1
    assert VMAF()(photo, photo) == pytest.approx(97.43, abs=0.01)
    assert isinstance(VMAF()(photo[:17, :17], coded[:17, :17]), float)
    assert VMAF()(photo[:16], coded[:16]) == Absent("a 340x16 image is below 17 pixels on a side")


@pytest.mark.usefixtures("_with_butteraugli")
def test_butteraugli_rises_from_zero(photo: np.ndarray) -> None:
    values = [Butteraugli()(photo, photo), *(Butteraugli()(photo, jpeg(photo, quality)) for quality in (95, 50, 10))]
    assert values[0] == pytest.approx(0, abs=1e-6) and values == sorted(values)  # type: ignore[type-var]
    assert 0.1 < values[1] < 1 < values[3]  # type: ignore[operator]


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_butteraugli_is_read_as_it_is_written(
    photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libjxl 0.7 and 0.11 write it: the maximum, then the norm; the original comes first."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Butteraugli()(photo, photo) == Absent("no butteraugli_main on PATH (it is part of libjxl)")
    programs.find_program.cache_clear()
    code = "import sys; from pathlib import Path\nassert sys.argv[1:] == ['image.png', 'reconstruction.png']\n"
    code += "print('4.1250000000')\nprint('3-norm: %f' % (Path(sys.argv[1]).stat().st_size / 1000))"
    program(tmp_path, "butteraugli_main", code)
    file = BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    assert Butteraugli()(photo, photo[::-1]) == pytest.approx(len(file.getvalue()) / 1000)
    assert isinstance(Butteraugli()(photo[:7], photo[:7]), Absent)
    before = program_versions()["butteraugli_main"]
    program(tmp_path, "butteraugli_main", "raise SystemExit('out of memory')")
    broken = Butteraugli()(photo, photo)
    assert isinstance(broken, Absent) and "out of memory" in broken.reason
    assert before != program_versions()["butteraugli_main"] is not None


def test_without_programs_both_are_absent(photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "ffmpeg_programs", lambda: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert VMAF()(photo, photo) == Absent("no ffmpeg with libvmaf (pip install 'hific[codecs]')")
    assert program_versions() == {"ffmpeg": None, "butteraugli_main": None}


def test_programs_say_their_version_and_why_they_fail(tmp_path: Path) -> None:
    program(tmp_path, "coder", "import sys\nprint('coder from /usr v1.2, of 2024')\nsys.exit('no such option')")
    path = str(tmp_path / "coder")
    assert programs.version_of(path, "--version") == "v1.2"
    assert programs.version_of(str(tmp_path / "none"), "--version") == "of unknown version"
    with pytest.raises(programs.ProgramError, match=r"coder failed \(no such option\)"):
        programs.run_program([path])
    with pytest.raises(programs.ProgramError, match="none failed"):
        programs.run_program([str(tmp_path / "none")])
