"""HiFiC files: the same symbols whatever the threads, batches, layouts and precisions; tiles equal the whole image."""

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
from torch import nn

from hific.codecs.hyperprior_codec import HyperpriorCodec
from hific.codecs.load import load_codec
from hific.coding.container import Header, pack
from hific.errors import BitstreamError, TooLargeError, WrongModelError

MakeCheckpoint = Callable[..., Path]
ROOT = Path(__file__).parents[2]


def photo(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth shapes with some noise, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 24
    waves = np.stack([np.sin(x + k) * np.cos(y * (1 + k / 3)) for k in range(3)], axis=-1)
    return np.clip(128 + 90 * waves + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def codec(make_hific_checkpoint: MakeCheckpoint) -> HyperpriorCodec:
    return wake(load_codec(make_hific_checkpoint()))


def wake(codec: object) -> HyperpriorCodec:
    """Residual blocks start as nothing: here they are to reach as far as they can."""
    assert isinstance(codec, HyperpriorCodec)
    for block in codec.model.synthesis.blocks:
        if not isinstance(block.second[1], nn.Identity):
            nn.init.ones_(block.second[1].weight)
    return codec


def same_symbols(one: HyperpriorCodec, other: HyperpriorCodec, data: bytes) -> bool:
    pairs = zip(one.decode_symbols(data), other.decode_symbols(data), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def difference(one: HyperpriorCodec, other: HyperpriorCodec, data: bytes) -> int:
    """Largest, in gray levels, between the images that two codecs make of the same bytes."""
    pixels = [np.asarray(codec.decompress(data)).astype(int) for codec in (one, other)]
    return int(np.abs(pixels[0] - pixels[1]).max())


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (33, 51), (64, 64), (130, 96)])
def test_bytes_hold_exactly_the_rounded_latents(codec: HyperpriorCodec, size: tuple[int, int]) -> None:
    image = photo(*size)
    data = codec.compress(image)
    hyper_symbols, symbols = codec.decode_symbols(data)
    width, height = (-(-length // 16) * 16 for length in size)
    padded = np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0)), mode="edge")
    with torch.inference_mode():
        latent = codec.model.analyze(torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255)
        hyper_latent = codec.model.hyper_analysis(latent)
    assert np.abs(hyper_symbols - hyper_latent[0].numpy()).max() <= 0.5 + 1e-3
    means = codec.coding_tables.predict(hyper_symbols, height // 16, width // 16).means
    assert symbols.dtype == np.int32 and symbols.any()
    assert np.abs(symbols + means - latent[0].numpy()).max() <= 0.5 + 1e-3
    assert codec.decompress(data).size == size


def test_means_of_the_integer_path_are_the_networks(codec: HyperpriorCodec) -> None:
    image = torch.from_numpy(photo(9 * 16, 12 * 16)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        latent = codec.model.analyze(image)
        hyperprior = codec.model.predict(latent)
    hyper_symbols = hyperprior.hyper_latent[0].round().int().numpy()
    means = codec.coding_tables.predict(hyper_symbols, 12, 9).means
    scale = float(hyperprior.means.abs().max())
    assert np.abs(means - hyperprior.means[0].numpy()).max() < 2e-3 * max(1.0, scale)


def test_layouts_batches_backends_and_precisions_decode_to_the_same_symbols(
    make_hific_checkpoint: MakeCheckpoint,
) -> None:
    path = make_hific_checkpoint()
    codec = wake(load_codec(path))
    contiguous = wake(load_codec(path))
    contiguous.model.to(memory_format=torch.contiguous_format)
    bfloat16 = wake(load_codec(path, precision="bfloat16"))
    images = [photo(90, 70, seed) for seed in range(3)]
    files = codec.compress_batch(images)
    for data in (*files, codec.compress(images[0]), bfloat16.compress(images[0]), contiguous.compress(images[1])):
        assert same_symbols(codec, contiguous, data) and same_symbols(codec, bfloat16, data)
        with torch.backends.mkldnn.flags(enabled=False):
            without = codec.decode_symbols(data)
            pixels = np.asarray(codec.decompress(data)).astype(int)
        assert all(np.array_equal(*pair) for pair in zip(without, codec.decode_symbols(data), strict=True))
        assert np.abs(pixels - np.asarray(codec.decompress(data)).astype(int)).max() <= 1
        assert difference(codec, contiguous, data) <= 1
    with torch.backends.mkldnn.flags(enabled=False):
        data = codec.compress(images[2])
        symbols = codec.decode_symbols(data)
    assert all(np.array_equal(*pair) for pair in zip(symbols, codec.decode_symbols(data), strict=True))


def test_a_batch_is_of_one_size(codec: HyperpriorCodec) -> None:
    assert codec.compress_batch([]) == []
    with pytest.raises(ValueError, match="one size"):
        codec.compress_batch([photo(32, 32), photo(48, 32)])


DECODER = """
import sys, numpy as np, torch
torch.set_num_threads(int(sys.argv[3]))
from hific.codecs.load import load_codec
codec = load_codec(sys.argv[1], tile=64)
data = open(sys.argv[2], "rb").read()
hyper_symbols, symbols = codec.decode_symbols(data)
np.savez(sys.argv[4], hyper_symbols=hyper_symbols, symbols=symbols, pixels=np.asarray(codec.decompress(data)))
"""


def test_another_process_with_other_threads_decodes_the_same(
    make_hific_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    path = make_hific_checkpoint()
    codec = load_codec(path)
    data = codec.compress(photo(200, 150))
    (tmp_path / "a.hfc").write_bytes(data)
    results = []
    for threads in (1, 2):
        arguments = [str(path), str(tmp_path / "a.hfc"), str(threads), str(tmp_path / f"{threads}.npz")]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([sys.executable, "-c", DECODER, *arguments], check=True, cwd=ROOT, env=environment)
        results.append(np.load(tmp_path / f"{threads}.npz"))
    hyper_symbols, symbols = codec.decode_symbols(data)
    for result in results:
        assert np.array_equal(result["symbols"], symbols)
        assert np.array_equal(result["hyper_symbols"], hyper_symbols)
        assert np.abs(result["pixels"].astype(int) - np.asarray(codec.decompress(data)).astype(int)).max() <= 1


@pytest.mark.parametrize("normalization", ["channel", "batch", "none"])
@pytest.mark.parametrize("tile", [16, 48, 100])
def test_tiles_equal_the_whole(make_hific_checkpoint: MakeCheckpoint, tile: int, normalization: str) -> None:
    path = make_hific_checkpoint(normalization=normalization, residual_blocks=2)
    whole, tiled = (wake(load_codec(path, tile=size)) for size in (0, tile))
    image = photo(230, 170)
    latents = [codec._analyze([image])[0] for codec in (whole, tiled)]
    assert np.allclose(*latents, atol=1e-4)
    data = whole.compress(image)
    assert same_symbols(whole, tiled, data) and difference(whole, tiled, data) <= 1


def test_the_halo_is_as_wide_as_what_the_networks_see(codec: HyperpriorCodec) -> None:
    """Beyond it nothing changes, to the bit; and a narrower one would not do."""
    model, halo, reached = codec.model.double(), codec.model.synthesis.halo, []
    image = torch.rand(1, 3, 16, 16 * 12).double()
    changed = image.clone()
    changed[..., : 16 * 8 - model.analysis.HALO] += 1
    with torch.inference_mode():
        before, after = model.analysis(image), model.analysis(changed)
        assert torch.equal(before[..., 8:], after[..., 8:])
        changed[..., : 16 * 8 - model.analysis.HALO + 16] += 1
        assert not torch.equal(before[..., 8:], model.analysis(changed)[..., 8:])
        latent = torch.randn(1, 4, 1, 3 * halo).double()
        pixels = model.synthesis(latent)
        for start, stop in ((0, halo), (2 * halo, 3 * halo)):
            changed = latent.clone()
            changed[..., start:stop] = torch.randn_like(changed[..., start:stop])  # a constant ChannelNorm would remove
            others = model.synthesis(changed)
            differs = (pixels != others).flatten(0, 2).any(0).nonzero()
            reached.append(16 * start - int(differs.min()) if start else int(differs.max()) + 1 - 16 * stop)
    assert 16 * (halo - 1) < max(reached) <= 16 * halo


def test_instance_norm_is_coded_whole(make_hific_checkpoint: MakeCheckpoint) -> None:
    codec = load_codec(make_hific_checkpoint(normalization="instance"), tile=32)
    assert isinstance(codec, HyperpriorCodec) and codec.tile == 0 and codec.max_pixels == 4_000_000
    with pytest.raises(TooLargeError):
        codec.check_size(4000, 2000)


def test_progress_is_told_by_tile(codec: HyperpriorCodec) -> None:
    told: list[tuple[int, int]] = []
    tiled = codec.with_options(tile=64)
    tiled.progress = lambda done, total: told.append((done, total))
    tiled.compress(photo(128, 64))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA", "P", "CMYK", "I;16", "1"])
def test_every_mode_comes_back_as_rgb_at_its_size(codec: HyperpriorCodec, mode: str) -> None:
    source = Image.fromarray(photo(45, 33))
    gray = np.asarray(source.convert("L")).astype(np.uint16) * 257
    image = Image.fromarray(gray) if mode == "I;16" else source.convert(mode)
    decoded = codec.decompress(codec.compress(image))
    assert decoded.mode == "RGB" and decoded.size == (45, 33)


def test_damage_is_a_clear_error(codec: HyperpriorCodec) -> None:
    data, rng = codec.compress(photo(64, 48)), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        with pytest.raises(BitstreamError):
            codec.decompress(bytes(damaged))
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            codec.decompress(data[:length])
    with pytest.raises(BitstreamError):
        codec.decompress(data + b"\0")


def test_damage_behind_a_right_checksum_never_passes(codec: HyperpriorCodec) -> None:
    """An attacker can mend the checksum: then bytes are another valid file, or a BitstreamError; nothing else."""
    data, rng, outcomes = codec.compress(photo(64, 48)), np.random.default_rng(1), set()
    for _ in range(200):
        damaged = bytearray(data[:-4])
        damaged[rng.integers(11, len(damaged))] ^= 1 << rng.integers(8)
        try:
            codec.decode_symbols(bytes(damaged) + zlib.crc32(damaged).to_bytes(4, "little"))
            outcomes.add("another file")
        except BitstreamError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_other_models_files_are_refused(make_hific_checkpoint: MakeCheckpoint, make_checkpoint: MakeCheckpoint) -> None:
    one = load_codec(make_hific_checkpoint("one.ckpt", seed=0))
    other = load_codec(make_hific_checkpoint("other.ckpt", seed=1))
    compressnet = load_codec(make_checkpoint())
    data = one.compress(photo(32, 32))
    for codec in (other, compressnet):
        with pytest.raises(WrongModelError, match=one.fingerprint.hex()):
            codec.decompress(data)
    with pytest.raises(WrongModelError, match="made by compressnet"):
        one.decompress(compressnet.compress(photo(32, 32)))


def test_sizes_are_checked_before_anything_is_made(codec: HyperpriorCodec) -> None:
    header = Header(codec.fingerprint, 1 << 15, (1 << 13) + 16, "hific", "hyperprior")
    with pytest.raises(TooLargeError):
        codec.decompress(pack(header, (), b""))


def test_a_file_is_hardly_larger_than_its_estimate(make_hific_checkpoint: MakeCheckpoint) -> None:
    """1 % and 24 bytes, at several rates (trained models: experiments/hific_small)."""
    image = photo(384, 256)
    for deviation in (1.0, 4.0, 20.0):
        codec = load_codec(make_hific_checkpoint(f"{deviation}.ckpt", deviation=deviation))
        assert isinstance(codec, HyperpriorCodec)
        estimate = codec.estimated_bpp(image) * 384 * 256 / 8
        num_bytes = len(codec.compress(image))
        assert num_bytes <= 1.01 * estimate + 24, (deviation, num_bytes, estimate)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_files_cross_from_gpu_to_cpu_and_back(make_hific_checkpoint: MakeCheckpoint) -> None:
    path = make_hific_checkpoint()
    cpu, gpu = load_codec(path), load_codec(path, device="cuda")
    assert isinstance(cpu, HyperpriorCodec) and isinstance(gpu, HyperpriorCodec)
    for data in (cpu.compress(photo(200, 150)), gpu.compress(photo(200, 150))):
        assert same_symbols(cpu, gpu, data) and difference(cpu, gpu, data) <= 1
