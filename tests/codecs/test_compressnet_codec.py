"""The file format's promises, with a real if untrained model: exact symbols, every size and mode, clear errors only."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hific.codecs import pixel_limit
from hific.codecs.compressnet_codec import CompressNetCodec
from hific.codecs.load import load_codec
from hific.codecs.pixel_limit import available_memory, estimated_memory
from hific.coding.container import Header, pack
from hific.errors import BitstreamError, TooLargeError, WrongModelError

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., CompressNetCodec]

ROOT = Path(__file__).parents[2]
CODINGS = ("packed", "static", "context")
SWITCHES = ("none", "transmitted", "predicted")


def photo(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth shapes with some noise, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 24
    waves = np.stack([np.sin(x + k) * np.cos(y * (1 + k / 3)) for k in range(3)], axis=-1)
    return np.clip(128 + 90 * waves + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def with_fixed_checksum(data: bytes) -> bytes:
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("switches", SWITCHES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (333, 517), (32, 48)])
def test_bytes_hold_exactly_the_symbols(
    make_codec: MakeCodec, coding: str, switches: str, size: tuple[int, int]
) -> None:
    codec = make_codec(switches=switches, coding=coding)
    image = photo(*size)
    data = codec.compress(image)
    symbols, maps = codec.decode_symbols(data)
    width, height = (max(32, -(-length // 16) * 16) for length in size)
    padded = np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0)), mode="edge")
    with torch.inference_mode():
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1
        analysis = codec.model.analyze(x)
        quantized = codec.model.quantize(analysis.latent)
        given = analysis.switches if switches == "transmitted" else None
        expected = codec.model.synthesize(quantized.latent_hat, given).reconstruction
    assert symbols.dtype == np.int32 and np.array_equal(symbols, quantized.symbols[0].numpy())
    assert (maps is None) == (switches != "transmitted")
    for plane, true in zip(maps or (), analysis.switches, strict=False):
        assert np.array_equal(plane, true[0].numpy())
    decoded = np.asarray(codec.decompress(data))
    levels = ((expected[0] + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0).numpy()[: size[1], : size[0]]
    assert decoded.shape == image.shape and np.abs(decoded - levels).max() <= 1


def test_transmitted_switches_are_in_the_bytes(make_codec: MakeCodec) -> None:
    image = photo(64, 64)
    without, with_switches = (make_codec(switches=kind, coding="packed") for kind in ("none", "transmitted"))
    numbers = sum(width * (64 >> i + 1) ** 2 for i, width in enumerate(with_switches.model.widths[:4]))
    assert len(with_switches.compress(image)) - len(without.compress(image)) >= numbers * 2 // 8


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "I;16", "1"])
def test_every_mode_comes_back_as_rgb_at_its_size(make_codec: MakeCodec, mode: str) -> None:
    codec = make_codec(switches="predicted")
    source = Image.fromarray(photo(45, 33))
    image = (
        Image.fromarray(np.asarray(source.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else source.convert(mode)
    )
    decoded = codec.decompress(codec.compress(image))
    assert decoded.mode == "RGB" and decoded.size == (45, 33)


def test_exif_rotated_image_comes_back_upright(make_codec: MakeCodec, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(50, 34)).save(tmp_path / "rotated.jpg", exif=exif)
    codec = make_codec()
    with Image.open(tmp_path / "rotated.jpg") as image:
        assert codec.decompress(codec.compress(image)).size == (34, 50)


def test_arrays_that_are_no_images_are_refused(make_codec: MakeCodec) -> None:
    codec = make_codec()
    for array in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            codec.compress(array)


def test_what_is_no_image_or_no_bytes_at_all_is_a_type_error(make_codec: MakeCodec) -> None:
    codec = make_codec()
    with pytest.raises(TypeError, match="not a str: open"):
        codec.compress("photo.jpg")
    with pytest.raises(TypeError, match="not a str: read"):
        codec.decompress("photo.hfc")
    data = codec.compress(photo(32, 32))
    assert codec.decompress(bytearray(data)).tobytes() == codec.decompress(memoryview(data)).tobytes()


@pytest.mark.parametrize("choice", [{"coding": "foo"}, {"switch_source": "foo"}])
def test_unknown_choices_are_refused_at_once(make_codec: MakeCodec, choice: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"='foo' is none of \w+, "):
        make_codec(switches="predicted", **choice)


def test_memory_that_is_not_there_is_refused_both_ways(make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = make_codec()
    image = photo(100, 70)
    data = codec.compress(image)
    needed = estimated_memory(112 * 80, codec.model.widths[0])
    monkeypatch.setattr(pixel_limit, "available_memory", lambda: needed - 1)
    for refused in (lambda: codec.compress(image), lambda: codec.decompress(data)):
        with pytest.raises(TooLargeError, match="GB are available"):
            refused()
    for enough in (needed, None):
        monkeypatch.setattr(pixel_limit, "available_memory", lambda enough=enough: enough)
        codec.compress(image)


def test_available_memory_is_read_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemFree: 1 kB\nMemAvailable:  1000 kB\n")
    monkeypatch.setattr(pixel_limit, "MEMORY_INFO", tmp_path / "meminfo")
    assert available_memory() == 1_024_000
    monkeypatch.setattr(pixel_limit, "MEMORY_INFO", tmp_path / "absent")
    assert available_memory() is None or available_memory() > 0


def test_decoding_does_not_depend_on_the_coding_asked_for(make_checkpoint: MakeCheckpoint) -> None:
    path = make_checkpoint()
    image = photo(80, 64)
    codecs = [load_codec(path, coding=coding) for coding in CODINGS]
    decoded = {
        np.asarray(reader.decompress(writer.compress(image))).tobytes() for writer in codecs for reader in codecs
    }
    assert len(decoded) == 1


DECODE_ELSEWHERE = """
import sys, torch, hific
torch.set_num_threads(int(sys.argv[1]))
for name in sys.argv[2:]:
    codec = hific.load_codec(name + ".ckpt")
    data = open(name + ".hfc", "rb").read()
    codec.decompress(data).save(name + ".png")
    symbols, switches = codec.decode_symbols(data)
    open(name + ".symbols", "wb").write(b"".join(part.tobytes() for part in (symbols, *(switches or ()))))
"""


def test_another_process_with_other_threads_decodes_the_same(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    names = ("transmitted", "predicted")
    codecs = {name: load_codec(make_checkpoint(f"{name}.ckpt", switches=name)) for name in names}
    for name, codec in codecs.items():
        (tmp_path / f"{name}.hfc").write_bytes(codec.compress(photo(333, 217)))
    threads = str(torch.get_num_threads() + 1)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DECODE_ELSEWHERE, threads, *names]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    for name, codec in codecs.items():
        data = (tmp_path / f"{name}.hfc").read_bytes()
        symbols, maps = codec.decode_symbols(data)
        assert (tmp_path / f"{name}.symbols").read_bytes() == b"".join(
            part.tobytes() for part in (symbols, *(maps or ()))
        )
        here = np.asarray(codec.decompress(data)).astype(int)
        there = np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int)
        assert (np.abs(there - here).max(axis=-1) > 1).mean() < 0.001


def corrupted(data: bytes, rng: np.random.Generator) -> bytes:
    kind, at = rng.integers(5), int(rng.integers(len(data)))
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]
    if kind == 3:
        return data + rng.bytes(int(rng.integers(1, 9)))
    end = at + int(rng.integers(1, 9))
    noise = bytes(byte ^ int(rng.integers(1, 256)) for byte in data[at:end])
    return data[:at] + noise + data[end:]


def test_1000_corruptions_are_1000_errors(make_codec: MakeCodec) -> None:
    codec = make_codec(switches="predicted")
    rng = np.random.default_rng(0)
    files = [codec.compress(photo(100, 70, seed)) for seed in range(4)]
    for trial in range(1000):
        damaged = corrupted(files[trial % 4], rng)
        assert damaged not in files
        with pytest.raises(BitstreamError):
            codec.decompress(damaged)


@pytest.mark.parametrize("coding", CODINGS)
def test_garbage_under_a_valid_checksum_is_an_image_or_an_error(make_codec: MakeCodec, coding: str) -> None:
    """Whoever forges the checksum gets noise or a BitstreamError, never a crash."""
    rng = np.random.default_rng(1)
    outcomes = {True: 0, False: 0}
    for switches in SWITCHES:
        codec = make_codec(switches=switches, coding=coding, max_pixels=10_000)
        whole = codec.compress(photo(40, 33))
        for _ in range(120):
            outcomes[_survives(codec, with_fixed_checksum(corrupted(whole, rng)))] += 1
    assert outcomes[False] > 0


def _survives(codec: CompressNetCodec, data: bytes) -> bool:
    try:
        image = codec.decompress(data)
    except BitstreamError:
        return False
    assert image.width * image.height <= codec.max_pixels
    return True


def test_another_models_file_is_refused_by_name(make_codec: MakeCodec) -> None:
    ours, other = make_codec(seed=0), make_codec(seed=1)
    assert ours.fingerprint != other.fingerprint and len(ours.fingerprint) == 4
    with pytest.raises(WrongModelError) as refused:
        ours.decompress(other.compress(photo(32, 32)))
    assert other.fingerprint.hex() in str(refused.value) and ours.fingerprint.hex() in str(refused.value)


def test_the_pixel_limit_holds_both_ways_before_anything_is_made(
    make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = make_codec(max_pixels=4096)
    codec.compress(photo(64, 64))

    def never(*arguments: object) -> None:
        raise AssertionError("work was started")

    monkeypatch.setattr(codec.model, "analyze", never)
    monkeypatch.setattr(type(codec.coding_tables), "decode", never)
    with pytest.raises(TooLargeError, match=r"80x64.*4096 pixels.*--max-pixels.*max_pixels"):
        codec.compress(np.zeros((64, 65, 3), np.uint8))
    # 1 x 4000 is below the limit, but 32 x 4000, which the networks would see, is above it.
    for width, height in ((2**32 - 1, 2**32 - 1), (4097, 1), (1, 4000)):
        header = Header(
            fingerprint=codec.fingerprint, width=width, height=height, codec="compressnet", coding="context"
        )
        with pytest.raises(TooLargeError):
            codec.decompress(pack(header, [], b"\0" * 20))


def test_switch_controls(make_codec: MakeCodec) -> None:
    image = photo(64, 48)
    sources = ("predicted", "top_left", "random")
    codecs = {source: make_codec(switches="predicted", switch_source=source) for source in sources}
    files = {codec.compress(image) for codec in codecs.values()}
    assert len(files) == 1, "the controls cost the same bytes"
    data = files.pop()
    pictures = {source: codec.decompress(data).tobytes() for source, codec in codecs.items()}
    assert len(set(pictures.values())) == 3 and len({codec.setting for codec in codecs.values()}) == 3
    assert codecs["random"].decompress(data).tobytes() == pictures["random"]
    model = codecs["top_left"].model
    with torch.inference_mode():
        latent_hat = model.dequantize(torch.from_numpy(codecs["top_left"].decode_symbols(data)[0])[None].long())
        fixed = model.synthesize(latent_hat, [torch.zeros(1, 4, 24, 32, dtype=torch.long)]).reconstruction
    shown = np.frombuffer(pictures["top_left"], np.uint8).reshape(48, 64, 3)
    assert np.abs((fixed[0] + 1).permute(1, 2, 0).numpy() * 127.5 - shown).max() < 0.51
    oracle = codecs["predicted"].oracle_reconstruction(image)
    assert oracle.size == (64, 48) and oracle.tobytes() not in pictures.values()


def test_controls_need_predicted_switches(make_codec: MakeCodec) -> None:
    with pytest.raises(ValueError, match="predict"):
        make_codec(switches="none", switch_source="random")
    with pytest.raises(ValueError, match="oracle"):
        make_codec(switches="none").oracle_reconstruction(photo(32, 32))
