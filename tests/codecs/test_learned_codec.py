"""The file format's promises, for every system, with real if untrained models: exact symbols, every size and mode, one
result on every machine, clear errors only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import noise, photo
from PIL import Image
from small_codecs import SWITCHES, corrupted, difference, equal, outcome, same_latent, wake, with_fixed_checksum

from hific.codecs import memory
from hific.codecs.latent_coding import CodedLatent, LatentCoding
from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import load_codec
from hific.codecs.memory import available_memory, estimated_memory
from hific.coding.checked_encoder import SelfCheckError
from hific.coding.container import Header, pack, read_info
from hific.coding.range_coder import RangeDecoder
from hific.errors import BitstreamError, OptionError, TooLargeError, WrongModelError

MakeCheckpoint = Callable[..., Path]
MakeCodec = Callable[..., LearnedCodec]

ROOT = Path(__file__).parents[2]
SYSTEMS = ("hific", *SWITCHES)
SIZES = [(1, 1), (1, 300), (300, 1), (33, 51), (64, 64), (130, 96)]
every_system = pytest.mark.parametrize("system", SYSTEMS)


@every_system
@pytest.mark.parametrize("size", SIZES)
def test_bytes_hold_exactly_what_the_networks_say(make_codec: MakeCodec, system: str, size: tuple[int, int]) -> None:
    codec, image = make_codec(system), photo(*size)
    smallest = 16 if system == "hific" else 32
    width, height = (max(smallest, -(-length // 16) * 16) for length in size)
    padded = np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0)), mode="edge")
    given = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    for coder in codec.coding.coders:
        data = codec.with_options(coder=coder).compress(image)
        coded = codec.decode_latent(data)
        decoded = np.asarray(codec.decompress(data))
        assert decoded.shape == image.shape and coded.symbols.dtype == np.int32
        assert coded.symbols.any() or size == (1, 1)
        with torch.inference_mode():
            if system == "hific":
                latent = codec.model.analyze(given)
                hyper_latent = codec.model.hyper_analysis(latent)
                assert np.abs(coded.hyper_symbols - hyper_latent[0].numpy()).max() <= 0.5 + 1e-3
                assert np.abs(coded.latent_hat - latent[0].numpy()).max() <= 0.5 + 1e-3
                continue
            analysis = codec.model.analyze(2 * given - 1)
            quantized = codec.model.quantize(analysis.latent)
            switches = analysis.switches if system == "swwae" else None
            expected = codec.model.synthesize(quantized.latent_hat, switches).reconstruction
        assert np.array_equal(coded.latent_hat, quantized.latent_hat[0].numpy())
        assert np.array_equal(coded.symbols, quantized.symbols[0].numpy() - 2)
        assert len(coded.side_information) == (4 if system == "swwae" else 0)
        for plane, true in zip(coded.side_information, switches or (), strict=True):
            assert np.array_equal(plane, true[0].numpy())
        levels = ((expected[0] + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0).numpy()[: size[1], : size[0]]
        assert np.abs(decoded - levels).max() <= 1


@every_system
def test_decoding_goes_by_the_file_whatever_coder_was_asked_for(make_codec: MakeCodec, system: str) -> None:
    codec, image = make_codec(system), photo(80, 64)
    codecs = {coder: codec.with_options(coder=coder) for coder in codec.coding.coders}
    files = {coder: one.compress(image) for coder, one in codecs.items()}
    assert [read_info(data).coder for data in files.values()] == list(files)
    assert codec.coder == list(files)[-1] and codec.compress(image) == files[codec.coder]
    pixels = {reader.decompress(data).tobytes() for data in files.values() for reader in codecs.values()}
    assert len(pixels) == 1


@every_system
def test_what_a_file_would_hold_is_known_without_coding_it(make_codec: MakeCodec, system: str) -> None:
    codec, image = make_codec(system), photo(80, 63)
    data = codec.compress(image)
    (source,) = codec.analyze([image])
    quantized, table_ids = codec.coding.quantize(source)
    assert equal(quantized, codec.decode_latent(data))
    prediction = codec.coding.prior.predict(quantized.hyper_symbols, *quantized.symbols.shape[1:])
    assert np.array_equal(table_ids, prediction.table_ids)
    assert np.array_equal(codec.reconstruct(image), np.asarray(codec.decompress(data)))


def test_transmitted_switches_are_in_the_bytes(make_codec: MakeCodec) -> None:
    image = photo(64, 64)
    without, with_switches = (make_codec(system, coder="fixed_length") for system in ("sae", "swwae"))
    numbers = sum(width * (64 >> i + 1) ** 2 for i, width in enumerate(with_switches.model.widths[:4]))
    assert len(with_switches.compress(image)) - len(without.compress(image)) >= numbers * 2 // 8 - 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "I;16", "1"])
@pytest.mark.parametrize("system", ["hific", "sae_spn"])
def test_every_mode_comes_back_as_rgb_at_its_size(make_codec: MakeCodec, system: str, mode: str) -> None:
    codec = make_codec(system)
    source = Image.fromarray(photo(45, 33))
    gray = np.asarray(source.convert("L")).astype(np.uint16) * 257
    image = Image.fromarray(gray) if mode == "I;16" else source.convert(mode)
    decoded = codec.decompress(codec.compress(image))
    assert decoded.mode == "RGB" and decoded.size == (45, 33)


def test_exif_rotated_image_comes_back_upright(make_codec: MakeCodec, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(50, 34)).save(tmp_path / "rotated.jpg", exif=exif)
    codec = make_codec("sae")
    with Image.open(tmp_path / "rotated.jpg") as image:
        assert codec.decompress(codec.compress(image)).size == (34, 50)


def test_arrays_that_are_no_images_are_refused(make_codec: MakeCodec) -> None:
    codec = make_codec("sae")
    for array in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            codec.compress(array)


def test_what_is_no_image_or_no_bytes_at_all_is_a_type_error(make_codec: MakeCodec) -> None:
    codec = make_codec("sae")
    with pytest.raises(TypeError, match="not a str: open"):
        codec.compress("photo.jpg")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not a str: read"):
        codec.decompress("photo.hfc")  # type: ignore[arg-type]
    data = codec.compress(photo(32, 32))
    assert codec.decompress(bytearray(data)).tobytes() == codec.decompress(memoryview(data)).tobytes()


@every_system
def test_a_batch_is_of_one_size_and_holds_what_one_image_would(make_codec: MakeCodec, system: str) -> None:
    codec, images = make_codec(system), [photo(90, 70, seed) for seed in range(3)]
    assert codec.compress_batch([]) == []
    with pytest.raises(ValueError, match="one size"):
        codec.compress_batch([photo(32, 32), photo(48, 32)])
    for image, data in zip(images, codec.compress_batch(images), strict=True):
        together, alone = codec.decode_latent(data), codec.decode_latent(codec.compress(image))
        # Float rounding may tip a latent that lies in the middle between two symbols.
        assert np.mean(together.symbols != alone.symbols) < 1e-3


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        ("hific", {"coder": "foo"}, "coder='foo' is none of fixed_length, tables, context_coded"),
        ("hific", {"coder": "fixed_length"}, "coder=fixed_length: hific_tiny has tables$"),
        ("sae", {"coder": "context_coded"}, "coder=context_coded: tiny has fixed_length, tables$"),
        ("hific", {"post_filter": True}, "post_filter=True: hific_tiny has no post-filter"),
        ("hific", {"precision": "float16"}, "precision='float16' is none of float32, bfloat16"),
        ("hific", {"tile": -1}, "tile=-1 must be 0"),
        ("hific", {"tile": 5}, "tile=5 must be 0 .the whole image., or 16 or more"),
        ("sae", {"max_pixels": 0}, "max_pixels=0 must be 1 or more"),
        ("sae_spn", {"switch_source": "foo"}, "switch_source='foo' is none of predicted, top_left, random"),
        ("sae", {"switch_source": "random"}, "switch_source=random: only for models that predict .* are none"),
        ("swwae", {"switch_source": "top_left"}, "only for models that predict .* are transmitted"),
        (
            "sae",
            {"precision": "bfloat16"},
            "precision=bfloat16 does not apply to tiny: its options are coder, .*effort, tile, switch",
        ),
        ("hific", {"switch_source": "random"}, "does not apply to hific_tiny: its options are .*precision"),
        ("hific", {"quality": 3}, "quality=3 does not apply to hific_tiny"),
    ],
)
def test_what_a_codec_cannot_do_is_refused_at_once(
    make_codec: MakeCodec, system: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        make_codec(system, **options)


@every_system
def test_other_options_are_of_the_same_model_and_none_is_the_default(make_codec: MakeCodec, system: str) -> None:
    codec = make_codec(system, coder=None, max_pixels=None)
    assert codec.options == type(codec.options)()
    other = codec.with_options(max_pixels=5000, coder="tables")
    assert (other.max_pixels, other.coder, other.model) == (5000, "tables", codec.model)
    assert (other.fingerprint, other.name, other.training) == (codec.fingerprint, codec.name, {"steps": 20})
    assert codec.max_pixels > 5000 and codec.fingerprint.hex() in repr(codec)
    with pytest.raises(OptionError, match="coder='foo'"):
        codec.with_options(coder="foo")


def test_memory_that_is_not_there_is_refused_both_ways(make_codec: MakeCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    """HiFiC's, by tiles: test_codec_set.py and tests/test_cli_hific.py."""
    codec, image = make_codec("sae"), photo(100, 70)
    data = codec.compress(image)
    needed = estimated_memory(112 * 80, codec.model.widths[0])
    monkeypatch.setattr(memory, "available_memory", lambda: needed - 1)
    for refused in (lambda: codec.compress(image), lambda: codec.decompress(data)):
        with pytest.raises(TooLargeError, match="GB are available"):
            refused()
    for enough in (needed, None):
        monkeypatch.setattr(memory, "available_memory", lambda enough=enough: enough)
        codec.compress(image)


def test_available_memory_is_read_or_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9 kB\nMemFree: 1 kB\nMemAvailable:  1000 kB\n")
    monkeypatch.setattr(memory, "MEMORY_INFO", tmp_path / "meminfo")
    assert available_memory() == 1_024_000
    monkeypatch.setattr(memory, "MEMORY_INFO", tmp_path / "absent")
    assert available_memory() is None or available_memory() > 0


@every_system
def test_the_pixel_limit_holds_both_ways_before_anything_is_made(
    make_codec: MakeCodec, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = make_codec(system, max_pixels=4096)
    codec.compress(photo(64, 64))

    def never(*arguments: object) -> None:
        raise AssertionError("work was started")

    for owner, name in ((codec.model, "analyze"), (codec.transform, "blank"), (LatentCoding, "code")):
        monkeypatch.setattr(owner, name, never)
    with pytest.raises(TooLargeError, match=r"80x64.*4096 pixels.*--max-pixels.*max_pixels"):
        codec.compress(np.zeros((64, 65, 3), np.uint8))
    # 1 x 4000 is below the limit; 16 x 4000, which the networks would see, is above it.
    for width, height in ((2**32 - 1, 2**32 - 1), (4097, 1), (1, 4000)):
        header = Header(codec.fingerprint, width, height, codec.family.name, "tables")
        with pytest.raises(TooLargeError):
            codec.decompress(pack(header, b"\0" * 20))


@every_system
def test_limits_by_default(make_codec: MakeCodec, system: str) -> None:
    """Of what is coded in tiles, numbers in a header are believed up to 2**28."""
    codec = make_codec(system)
    width = (1 << 15) if system == "hific" else 2000
    header = Header(codec.fingerprint, width, codec.max_pixels // width + 16, codec.family.name, "tables")
    with pytest.raises(TooLargeError):
        codec.decompress(pack(header, b""))
    assert codec.max_pixels == (1 << 28 if system == "hific" else 4_000_000)
    assert codec.allows(2000, 2000) and not codec.allows(width, codec.max_pixels // width + 16)


DECODE_ELSEWHERE = """
import sys, numpy as np, torch, hific
num_threads, *names = sys.argv[1:]
torch.set_num_threads(int(num_threads))
for name in names:
    codec = hific.load_codec(name + ".ckpt", **({"tile": 64} if name.startswith("hific") else {}))
    data = open(name + ".hfc", "rb").read()
    coded = codec.decode_latent(data)
    parts = [coded.hyper_symbols, coded.symbols, coded.means, *coded.side_information]
    np.savez(name + ".npz", *parts, pixels=np.asarray(codec.decompress(data)))
"""


def test_another_process_with_other_threads_and_tiles_decodes_the_same(
    make_system: MakeCheckpoint, make_context: MakeCheckpoint, tmp_path: Path
) -> None:
    paths = [*(make_system(system) for system in SYSTEMS), make_context("xgboost"), make_context("knn", "sae")]
    codecs = {path.stem: load_codec(path) for path in paths}
    for name, codec in codecs.items():
        (tmp_path / f"{name}.hfc").write_bytes(codec.compress(photo(200, 150)))
    threads = str(torch.get_num_threads() + 1)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DECODE_ELSEWHERE, threads, *codecs]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    for name, codec in codecs.items():
        data, there = (tmp_path / f"{name}.hfc").read_bytes(), dict(np.load(tmp_path / f"{name}.npz"))
        assert read_info(data).coder == codec.coder
        apart = np.abs(there.pop("pixels").astype(int) - np.asarray(codec.decompress(data))).max(axis=-1)
        assert (apart > 1).mean() < 0.001
        hyper_symbols, symbols, means, *planes = there.values()
        assert equal(codec.decode_latent(data), CodedLatent(hyper_symbols, symbols, means, tuple(planes)))


@every_system
def test_layouts_backends_and_precisions_decode_the_same_symbols(make_system: MakeCheckpoint, system: str) -> None:
    path = make_system(system)
    codec, contiguous = (wake(load_codec(path)) for _ in range(2))
    contiguous.model.to(memory_format=torch.contiguous_format)
    others = [contiguous]
    if system == "hific":
        others.append(wake(load_codec(path, precision="bfloat16")))
    images = [photo(90, 70, seed) for seed in range(3)]
    files = codec.compress_batch(images)
    for data in (*files, *(other.compress(images[0]) for other in others), contiguous.compress(images[1])):
        assert all(same_latent(codec, other, data) for other in others)
        with torch.backends.mkldnn.flags(enabled=False):
            without = codec.decode_latent(data)
            pixels = np.asarray(codec.decompress(data)).astype(int)
        assert equal(without, codec.decode_latent(data))
        apart = np.abs(pixels - np.asarray(codec.decompress(data)))
        # A predicted switch may flip where two logits nearly tie.
        assert (apart > 1).mean() <= (0.001 if system == "sae_spn" else 0)
        assert difference(codec, contiguous, data) <= 1 or system == "sae_spn"
    with torch.backends.mkldnn.flags(enabled=False):
        data = codec.compress(images[2])
        symbols = codec.decode_latent(data)
    assert equal(symbols, codec.decode_latent(data))


@every_system
def test_damage_is_a_clear_error(make_codec: MakeCodec, system: str) -> None:
    codec, rng = make_codec(system), np.random.default_rng(0)
    files = [codec.compress(photo(48, 33, seed)) for seed in range(4)]
    for trial in range(1000):
        damaged = corrupted(files[trial % 4], rng)
        if damaged not in files:
            with pytest.raises(BitstreamError):
                codec.decompress(damaged)
    for length in range(0, len(files[0]), 1 + len(files[0]) // 300):
        with pytest.raises(BitstreamError):
            codec.decompress(files[0][:length])


@every_system
def test_garbage_behind_a_right_checksum_is_an_image_or_an_error(make_codec: MakeCodec, system: str) -> None:
    """Whoever forges the checksum gets noise of the announced size or a BitstreamError; nothing else."""
    codec, rng, outcomes = make_codec(system, max_pixels=10_000), np.random.default_rng(1), set()
    for coder in codec.coding.coders:
        whole = codec.with_options(coder=coder).compress(photo(40, 33))
        for _ in range(80):
            outcomes.add(outcome(codec, with_fixed_checksum(corrupted(whole, rng))))
    assert "refused" in outcomes


def test_another_models_file_is_refused_by_name(make_codec: MakeCodec) -> None:
    codecs = [make_codec("hific"), make_codec("hific", seed=1), make_codec("sae"), make_codec("sae", seed=1)]
    assert len({codec.fingerprint for codec in codecs}) == 4 and {len(codec.fingerprint) for codec in codecs} == {4}
    files = [codec.compress(photo(32, 32)) for codec in codecs]
    for writer, data in zip(codecs, files, strict=True):
        for reader in codecs:
            if reader is writer:
                continue
            made = f"made by {writer.family.name} model {writer.fingerprint.hex()}"
            with pytest.raises(WrongModelError, match=f"{made}, loaded is {reader.family.name} model .*{reader.name}"):
                reader.decompress(data)


def test_a_coder_that_the_model_does_not_have_is_no_file_of_its(make_codec: MakeCodec) -> None:
    for system, coder, post_filter in (("hific", "fixed_length", False), ("sae", "context_coded", False)):
        codec = make_codec(system)
        header = Header(codec.fingerprint, 40, 30, codec.family.name, coder, post_filter)
        with pytest.raises(BitstreamError, match=f"coded by {coder}, of which the model that made it knows nothing"):
            codec.decompress(pack(header, b"\0" * 20))
    header = Header(codec.fingerprint, 40, 30, codec.family.name, "tables", post_filter=True)
    with pytest.raises(BitstreamError, match="by tables with tile flags, of which"):
        codec.decompress(pack(header, b"\0" * 20))


@every_system
def test_the_self_check_notices_a_decoder_or_a_coding_that_differs(
    make_codec: MakeCodec, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec, image = make_codec(system), photo(64, 48)
    codec.compress(image)
    code_runs, code = RangeDecoder.code_runs, LatentCoding.code
    with monkeypatch.context() as patch:

        def other_symbols(self: RangeDecoder, *told: Any) -> Any:
            coded = code_runs(self, *told)
            coded[len(coded) // 2 :] += 1
            return coded

        patch.setattr(RangeDecoder, "code_runs", other_symbols)
        with pytest.raises(SelfCheckError, match="does not decode"):
            codec.compress(image)
    with monkeypatch.context() as patch:

        def other_latent(self: LatentCoding, *told: Any) -> Any:
            coded = code(self, *told)
            return coded._replace(symbols=coded.symbols + 1)

        patch.setattr(LatentCoding, "code", other_latent)
        with pytest.raises(SelfCheckError, match="not what was encoded"):
            codec.compress(image)


@every_system
def test_variants_are_all_coders_and_what_the_family_has_besides(make_codec: MakeCodec, system: str) -> None:
    """The last of the coders has the family's further numbers."""
    codec, image = make_codec(system), noise(64, 48)
    variants = codec.variants()
    plain = [one for one in variants if not one.is_control]
    assert [one.codec.coder for one in plain] == list(codec.coding.coders)
    assert [one.label for one in plain] == [one.codec.setting for one in plain] == list(codec.coding.coders)
    assert all(one.reconstruct is None and one.codec.model is codec.model for one in plain)
    assert [one.extra_metrics is not None for one in plain] == [False] * (len(plain) - 1) + [True]
    names = {"hific": {"estimated_bpp"}, "sae_spn": {"switch_accuracy"}}
    assert plain[-1].extra_metrics is not None
    assert set(plain[-1].extra_metrics(image)) == names.get(system, set())
    assert (len(variants) > len(plain)) == (system == "sae_spn")
    assert [one.codec.coder for one in codec.variants(["tables"]) if not one.is_control] == ["tables"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@every_system
def test_files_cross_from_gpu_to_cpu_and_back(make_system: MakeCheckpoint, system: str) -> None:
    path = make_system(system)
    cpu, gpu = load_codec(path), load_codec(path, device="cuda")
    for data in (cpu.compress(photo(200, 150)), gpu.compress(photo(200, 150))):
        assert same_latent(cpu, gpu, data)
        assert difference(cpu, gpu, data) <= 1 or system == "sae_spn"
