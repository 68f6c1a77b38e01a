"""HEVC and VVC by ffmpeg: sizes come back, colors are right, and a value of another implementation is met."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from photos import photo

from hific import programs
from hific.codecs.ffmpeg_codecs import FFmpegCodec, FFmpegFamily, Name, find_encoder
from hific.errors import OptionError
from hific.evaluation.rate_search import match_bytes
from hific.metrics.fidelity import PSNR

NAMES: tuple[Name, ...] = ("hevc", "vvc")


def ffmpeg(name: Name) -> None:
    try:
        find_encoder(name)
    except OptionError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 97), (130, 31)])
def test_every_size_comes_back(name: Name, size: tuple[int, int]) -> None:
    ffmpeg(name)
    codec, pixels = FFmpegCodec(name, 20), photo(*size)
    decoded = codec.decompress(codec.compress(pixels))
    assert (decoded.size, decoded.mode) == (size, "RGB")


@pytest.mark.parametrize("name", NAMES)
def test_colors_and_range_are_kept(name: Name) -> None:
    ffmpeg(name)
    colors = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 64, 200]], np.uint8)
    pixels = np.repeat(np.repeat(colors[None], 64, axis=0), 32, axis=1)
    codec = FFmpegCodec(name, 4)
    decoded = np.asarray(codec.decompress(codec.compress(pixels))).astype(int)
    centers = decoded[32, 16::32]
    assert abs(centers - colors).max() <= 4


def test_hevc_meets_a_known_value() -> None:
    ffmpeg("hevc")
    pixels = skimage.data.astronaut()
    codec, data = match_bytes(FFmpegFamily("hevc"), pixels, round(0.0726 * pixels[..., 0].size / 8))
    psnr = PSNR()(pixels, np.asarray(codec.decompress(data)))
    # 24.81 dB at .0656 bpp of an independent implementation; a step of qp is about 12 % of the bytes, .4 dB.
    assert 8 * len(data) / pixels[..., 0].size == pytest.approx(0.0656, abs=0.004)
    assert psnr == pytest.approx(24.81, abs=0.2)


@pytest.mark.slow
def test_vvc_meets_a_known_value() -> None:
    """25.94 dB at .0726 bpp, by its PSNR: with qpa, which is for eyes, it would be .6 dB less."""
    ffmpeg("vvc")
    pixels = skimage.data.astronaut()
    codec = FFmpegCodec("vvc", 50)  # the least not above; a search takes a minute
    data = codec.compress(pixels)
    assert 8 * len(data) / pixels[..., 0].size == pytest.approx(0.0715, abs=0.0011)
    assert PSNR()(pixels, np.asarray(codec.decompress(data))) == pytest.approx(25.94, abs=0.2)


def test_what_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ({"name": "hevc", "qp": 52}, {"name": "av2", "qp": 1}, {"name": "vvc", "qp": 1, "scale": 2}):
        with pytest.raises(ValueError):
            FFmpegCodec(**bad)  # type: ignore[arg-type]
    monkeypatch.setattr(programs, "ffmpeg_programs", lambda: [])
    programs.find_ffmpeg.cache_clear()
    with pytest.raises(OptionError, match=r"pip install 'hific\[codecs\]'"):
        find_encoder("vvc")
    programs.find_ffmpeg.cache_clear()


def test_a_damaged_stream_is_an_error() -> None:
    ffmpeg("hevc")
    with pytest.raises(ValueError, match="ffmpeg failed"):
        FFmpegCodec("hevc", 30).decompress(b"not a stream at all" * 9)
