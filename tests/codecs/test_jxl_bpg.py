"""JPEG XL and BPG: sizes and colors come back, sizes rise with the setting, programs are called as they are written."""

from __future__ import annotations

import importlib.util
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from photos import photo

from hific import programs
from hific.codecs import jxl
from hific.codecs.bpg import BpgCodec, BpgFamily
from hific.codecs.jxl import STEPS, JxlCodec, JxlFamily, distance_of
from hific.errors import OptionError
from hific.evaluation.rate_search import match_bytes

BACKENDS = ("library", "programs")


@pytest.fixture(autouse=True)
def _programs_are_looked_for() -> Iterator[None]:
    programs.find_program.cache_clear()
    yield
    programs.find_program.cache_clear()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of JPEG XL; skips those that are not here."""
    if request.param == "library":
        if importlib.util.find_spec("imagecodecs") is None:
            pytest.skip("no imagecodecs")
    else:
        monkeypatch.setattr(jxl, "find_library", lambda: None)
        if programs.find_program("cjxl") is None or programs.find_program("djxl") is None:
            pytest.skip("no cjxl and djxl on PATH")
    return str(request.param)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("size", [(1, 1), (65, 97), (130, 31)])
@pytest.mark.parametrize("scale", [1, 2])
def test_every_size_comes_back(size: tuple[int, int], scale: int) -> None:
    codec, pixels = JxlCodec(40, scale, effort=3), photo(*size)
    decoded = codec.decompress(codec.compress(pixels))
    assert (decoded.size, decoded.mode) == (size, "RGB")


@pytest.mark.usefixtures("backend")
def test_colors_are_kept_and_files_grow_with_the_step() -> None:
    pixels = skimage.data.astronaut()[:128, 150:278]
    files = [JxlCodec(step, effort=3).compress(pixels) for step in (0, 40, 80, STEPS - 1)]
    assert sorted(map(len, files)) == list(map(len, files)) and files[0][:2] == b"\xff\x0a"  # a raw codestream
    finest = np.asarray(JxlCodec(STEPS - 1, effort=3).decompress(files[-1])).astype(int)
    assert np.abs(finest - pixels).mean() < 1.5


def test_a_rate_is_searched_and_the_version_known(backend: str) -> None:
    family, pixels = JxlFamily(effort=3), photo(120, 90)
    codec, data = match_bytes(family, pixels, 900)
    assert len(data) <= 900 and family.version.startswith("libjxl" if backend == "library" else "cjxl v")
    assert codec.setting.startswith("distance ") and "effort 3" in codec.setting


def test_distances_fall_from_25_to_a_tenth() -> None:
    distances = [distance_of(step) for step in range(STEPS)]
    assert (distances[0], distances[-1]) == (25.0, 0.1) and distances == sorted(distances, reverse=True)


def test_what_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for make in (lambda: JxlCodec(STEPS), lambda: JxlCodec(1, 17), lambda: JxlCodec(1, 1, 0), lambda: BpgCodec(52)):
        with pytest.raises(ValueError):
            make()
    with pytest.raises(ValueError):
        BpgCodec(3, 1, "411")  # type: ignore[arg-type]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(jxl, "find_library", lambda: None)
    with pytest.raises(OptionError, match=r"pip install 'hific\[jxl\]'"):
        JxlCodec(1).compress(photo(8, 8))
    with pytest.raises(OptionError, match="bpgenc and bpgdec"):
        BpgFamily().version  # noqa: B018


ENCODER = """
if sys.argv[1:] == ["-h"]:
    sys.exit("BPG Image Encoder version 0.9.8")
assert sys.argv[1:5] == ["-m", "9", "-f", "444"] and sys.argv[7:] == ["-o", "image.bpg", "image.png"], sys.argv
if sys.argv[6] == "51":
    sys.exit("cannot encode")
Path("image.bpg").write_bytes(b"BPG\\xfb" + Path("image.png").read_bytes())
"""
DECODER = """
assert sys.argv[1:] == ["-o", "image.png", "image.bpg"], sys.argv
Path("image.png").write_bytes(Path("image.bpg").read_bytes()[4:])
"""


def test_programs_of_bpg_are_called_as_their_manual_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """libbpg is in no package: stand-ins check the command line, and code nothing."""
    for name, text in (("bpgenc", ENCODER), ("bpgdec", DECODER)):
        (tmp_path / name).write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{text}")
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(tmp_path))
    pixels, codec = photo(31, 20), BpgFamily().codec(30, 1)
    assert BpgFamily().version == "bpgenc 0.9.8" and codec.setting == "qp 30, 444"
    np.testing.assert_array_equal(codec.decompress(codec.compress(pixels)), pixels)
    with pytest.raises(programs.ProgramError, match=r"bpgenc failed \(cannot encode\)"):
        BpgCodec(51).compress(pixels)
