"""Files in the coding `neighbor`: every size, damage, threads, other predictors, libraries that predict otherwise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xgboost
from neighbor_cases import KINDS, predictor_fit
from numpy.typing import NDArray

import hific
from hific.codecs.compressnet_coding import centered_tables, channel_ids
from hific.codecs.fingerprint import model_fingerprint
from hific.codecs.hyperprior_codec import HyperpriorCodec
from hific.codecs.load import WEIGHTS_PREFIX, checkpoint_entry
from hific.coding.container import read_info
from hific.context.fit_neighbors import NeighborFit, TrainingLatent
from hific.context.neighbor_model import NeighborModel
from hific.errors import BitstreamError, CheckpointError, WrongModelError

MakeCheckpoint = Callable[..., Path]
Pixels = NDArray[np.uint8]
ROOT = Path(__file__).parents[2]
FAMILIES = ("hific", "compressnet")
HEADER_BYTES = 11  # of images up to 127 x 127


def photo(width: int, height: int, seed: int = 0) -> Pixels:
    """Smooth shapes with some noise, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 24
    waves = np.stack([np.sin(x + k) * np.cos(y * (1 + k / 3)) for k in range(3)], axis=-1)
    return np.clip(128 + 90 * waves + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def make(make_hific_checkpoint: MakeCheckpoint, make_checkpoint: MakeCheckpoint) -> MakeCheckpoint:
    """`make(kind, family, ...)`: the same tiny networks each time, with a neighbor model of that kind, fitted to what
    they make of four photos."""
    makers = {"hific": make_hific_checkpoint, "compressnet": make_checkpoint}

    def make(kind: str, family: str = "hific", **options: Any) -> Path:
        path = makers[family](f"{family}_{kind}{len(options)}.ckpt")
        codec = hific.load_codec(path)
        coding = replace(codec.coding_tables, neighbor=neighbor_of(codec, kind, **options))
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["hific"] = checkpoint_entry(f"{family}_{kind}", codec.model, coding, {})
        torch.save(checkpoint, path)
        return path

    return make


def neighbor_of(codec: Any, kind: str, **options: Any) -> NeighborModel:
    latents = [training_latent(codec, photo(96, 80, seed)) for seed in range(4)]
    coding = codec.coding_tables
    tables = coding.latent_tables if isinstance(codec, HyperpriorCodec) else centered_tables(coding.static_tables)
    fit = NeighborFit(predictor_fit(kind), side=5, reach=1, max_windows=4000, **options)
    return fit(latents, tables, codec.model.latent_channels)


def training_latent(codec: Any, image: Pixels) -> TrainingLatent:
    decoded = codec.decode_symbols(codec.compress(image))
    if not isinstance(codec, HyperpriorCodec):
        return TrainingLatent(decoded[0] - 2, channel_ids(decoded[0].shape))
    hyper_symbols, symbols = decoded
    return TrainingLatent(symbols, codec.coding_tables.predict(hyper_symbols, *symbols.shape[1:]).table_ids)


def same_symbols(one: Any, other: Any) -> bool:
    """Of `decode_symbols`; no switches are in these files."""
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True) if pair[0] is not None)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (333, 517)])
def test_every_size_in_tiles_or_whole(make: MakeCheckpoint, size: tuple[int, int]) -> None:
    """Whole or in tiles, a file decodes to the same symbols, those of the coding `hyperprior`; and it is the same file
    unless tiles move a latent across a half."""
    image = photo(*size)
    for kind in KINDS:
        path = make(kind)
        whole, tiled = (hific.load_codec(path, tile=tile) for tile in (0, 48))
        plain = whole.with_options(coding="hyperprior")
        data, data_of_tiles, plain_data = (codec.compress(image) for codec in (whole, tiled, plain))
        assert [read_info(one).coding for one in (data, data_of_tiles, plain_data)] == [*["neighbor"] * 2, "hyperprior"]
        symbols = whole.decode_symbols(data)
        assert same_symbols(symbols, tiled.decode_symbols(data))
        assert same_symbols(symbols, whole.decode_symbols(plain_data)) and symbols[1].any()
        symbols_of_tiles = whole.decode_symbols(data_of_tiles)
        assert np.mean(symbols[1] != symbols_of_tiles[1]) < 1e-3
        assert (data == data_of_tiles) == same_symbols(symbols, symbols_of_tiles)
        pixels = np.asarray(whole.decompress(data))
        assert pixels.shape == image.shape
        np.testing.assert_array_equal(pixels, np.asarray(whole.decompress(plain_data)))
        assert np.abs(pixels.astype(int) - np.asarray(tiled.decompress(data))).max() <= 1


def corrupted(data: bytes, rng: np.random.Generator) -> bytes:
    """A bit flipped, the end cut, bytes put in or added, or some replaced."""
    at, extra = int(rng.integers(len(data))), rng.bytes(int(rng.integers(1, 9)))
    flipped = bytes([data[at] ^ 1 << int(rng.integers(8))])
    return (
        data[:at] + flipped + data[at + 1 :],
        data[:at],
        data[:at] + extra + data[at:],
        data + extra,
        data[:at] + extra + data[at + len(extra) :],
    )[int(rng.integers(5))]


def with_fixed_checksum(data: bytes) -> bytes:
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_an_error_and_behind_a_right_checksum_an_image_at_most(
    make: MakeCheckpoint, kind: str, family: str
) -> None:
    """Of the size that its header says; whoever forges a checksum gets noise or a BitstreamError, nothing else."""
    codec = hific.load_codec(make(kind, family), max_pixels=10_000)
    data, rng, outcomes = codec.compress(photo(70, 48)), np.random.default_rng(0), []
    for trial in range(120):
        if trial % 3:
            damaged = data[:HEADER_BYTES] + corrupted(data[HEADER_BYTES:], rng)
        else:
            damaged = corrupted(data[:HEADER_BYTES], rng) + data[HEADER_BYTES:]
        if damaged != data:
            with pytest.raises(BitstreamError):
                codec.decompress(damaged)
        outcomes.append(_outcome(codec, with_fixed_checksum(damaged)))
    assert {"refused", "image"} == set(outcomes) and outcomes.count("refused") > 60


def _outcome(codec: Any, data: bytes) -> str:
    try:
        image = codec.decompress(data)
    except BitstreamError:
        return "refused"
    info = read_info(data)
    assert image.size == (info.width, info.height) and info.width * info.height <= codec.max_pixels
    return "image"


ELSEWHERE = """
import sys, numpy as np, torch, hific
num_threads, work, *names = sys.argv[1:]
torch.set_num_threads(int(num_threads))
for name in names:
    codec = hific.load_codec(name + ".ckpt")
    if work == "encode":
        open(name + ".hfc", "wb").write(codec.compress(np.load("image.npy")))
    symbols = [part for part in codec.decode_symbols(open(name + ".hfc", "rb").read()) if part is not None]
    np.savez(name + "." + work + ".npz", *symbols)
"""


def test_a_process_with_two_threads_decodes_what_one_with_one_thread_encoded(
    make: MakeCheckpoint, tmp_path: Path
) -> None:
    names = [make(kind).stem for kind in KINDS] + [make("xgboost", "compressnet").stem]
    np.save(tmp_path / "image.npy", photo(480, 360))
    for threads, work in (("1", "encode"), ("2", "decode")):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", ELSEWHERE, threads, work, *names]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    for name in names:
        assert read_info((tmp_path / f"{name}.hfc").read_bytes()).coding == "neighbor"
        encoded, decoded = (np.load(tmp_path / f"{name}.{work}.npz") for work in ("encode", "decode"))
        assert encoded.files and encoded.files == decoded.files
        assert all(np.array_equal(encoded[part], decoded[part]) for part in encoded.files)
        here = hific.load_codec(tmp_path / f"{name}.ckpt").decode_symbols((tmp_path / f"{name}.hfc").read_bytes())
        assert same_symbols([decoded[part] for part in decoded.files], [part for part in here if part is not None])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_another_predictor_over_the_same_networks_is_refused(make: MakeCheckpoint, family: str) -> None:
    paths = [*(make(kind, family) for kind in KINDS), make("xgboost", family, location=False)]
    codecs = [hific.load_codec(path) for path in paths]
    weights = [codec.model.state_dict() for codec in codecs]
    assert all(torch.equal(one[name], weights[0][name]) for one in weights for name in weights[0])
    files = [codec.compress(photo(70, 48)) for codec in codecs]
    pixels = [np.asarray(codec.decompress(data)) for codec, data in zip(codecs, files, strict=True)]
    assert all(np.array_equal(one, pixels[0]) for one in pixels), "the same networks make the same pixels"
    for reader, codec in enumerate(codecs):
        for writer, data in enumerate(files):
            if writer == reader:
                continue
            with pytest.raises(WrongModelError, match=f"{codecs[writer].fingerprint.hex()}.*{codec.fingerprint.hex()}"):
                codec.decompress(data)


def edited(path: Path, name: str, edit: Callable[[NDArray[Any]], NDArray[Any]]) -> Path:
    """With another array of the predictor, and the fingerprint that goes with it."""
    checkpoint = torch.load(path, weights_only=True)
    entry = checkpoint["hific"]
    key = f"neighbor.predictor.{name}"
    entry["coding"][key] = torch.from_numpy(edit(entry["coding"][key].numpy()).copy())
    state = checkpoint["state_dict"]
    weights = {key.removeprefix(WEIGHTS_PREFIX): state[key] for key in state if key.startswith(WEIGHTS_PREFIX)}
    entry["fingerprint"] = model_fingerprint(entry["model"], entry["arguments"], weights, entry["coding"]).hex()
    torch.save(checkpoint, path)
    return path


def booster_of(model: NDArray[np.uint8]) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray(model.tobytes()))
    return booster


def saved(booster: xgboost.Booster, form: str = "ubj") -> NDArray[np.uint8]:
    return np.frombuffer(bytes(booster.save_raw(form)), np.uint8)


def with_trees(edit: Callable[[dict[str, Any]], object]) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """The library's bytes of a model whose trees are edited."""

    def edit_model(model: NDArray[np.uint8]) -> NDArray[np.uint8]:
        document = json.loads(bytes(booster_of(model).save_raw("json")))
        for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
            edit(tree)
        return saved(booster_of(np.frombuffer(json.dumps(document).encode(), np.uint8)))

    return edit_model


def raise_leaves(tree: dict[str, Any]) -> None:
    """By the least that counts, and not by the same for every class."""
    tree["leaf_weights"] = [value + (index % 2) / 1024 for index, value in enumerate(tree["leaf_weights"])]


def move_splits(tree: dict[str, Any]) -> None:
    """As a library does that takes values at a threshold the other way."""
    inner = [child != -1 for child in tree["left_children"]]
    tree["split_conditions"] = [value + split for value, split in zip(tree["split_conditions"], inner, strict=True)]


def add_to_the_last(margins: NDArray[np.int32]) -> NDArray[np.int32]:
    return margins + (np.arange(margins.size) == margins.size - 1).reshape(margins.shape).astype(np.int32)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("model", with_trees(raise_leaves), "predicts otherwise"),
        ("model", with_trees(move_splits), "predicts otherwise"),
        ("model", lambda model: saved(booster_of(model)[:3]), "predicts otherwise"),
        ("model", lambda model: model[: len(model) // 2], "cannot read"),
        ("check_margins", add_to_the_last, "predicts otherwise"),
        ("check_features", lambda features: features[::-1], "predicts otherwise"),
        ("check_features", lambda features: features[1:], "predicts otherwise"),
        ("margins", lambda margins: margins - np.arange(margins.shape[1], dtype=np.int16), "predicts otherwise"),
    ],
    ids=["leaves", "splits", "a tree less", "cut", "margins", "features", "fewer features", "tables"],
)
def test_a_library_that_predicts_otherwise_is_noticed_behind_a_right_fingerprint(
    make: MakeCheckpoint, family: str, name: str, edit: Callable[[Any], Any], message: str
) -> None:
    path = make("xgboost", family)
    hific.load_codec(edited(path, name, lambda array: array))
    with pytest.raises(CheckpointError, match=rf"{path.name}: xgboost {xgboost.__version__}.*{message}") as refused:
        hific.load_codec(edited(path, name, edit))
    assert ".so" not in str(refused.value), "the library's reason, not its stack"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_booster_saved_anew_codes_the_same_streams(make: MakeCheckpoint, family: str, form: str) -> None:
    path, image = make("xgboost", family), photo(70, 48)
    before = hific.load_codec(path)
    after = hific.load_codec(edited(path, "model", lambda model: saved(booster_of(model), form)))
    models = [codec.coding_tables.neighbor.predictor.model for codec in (before, after)]
    assert not np.array_equal(*models) or form == "ubj"
    one, other = before.compress(image), after.compress(image)
    assert one[8:-4] == other[8:-4], "all but fingerprint and checksum"
    assert same_symbols(before.decode_symbols(one), after.decode_symbols(other))
