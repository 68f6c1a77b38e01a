"""Files that a context model codes: each kind over the same networks, other models, libraries that differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xgboost
from context_cases import KINDS
from numpy.typing import NDArray
from photos import photo
from small_codecs import corrupted, equal, outcome, with_fixed_checksum

from hific.codecs.load import WEIGHTS_PREFIX, load_codec, model_fingerprint
from hific.coding.container import read_info
from hific.errors import BitstreamError, CheckpointError, WrongModelError

MakeCheckpoint = Callable[..., Path]
SYSTEMS = ("hific", "sae")
HEADER_BYTES = 11  # of images up to 127 x 127


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_codecs_own_choice_and_changes_nothing_but_the_bytes(
    make_context: MakeCheckpoint, kind: str, system: str
) -> None:
    codec = load_codec(make_context(kind, system))
    assert (codec.name, codec.coder, codec.setting) == (f"{system}_{kind}", "context_coded", kind)
    image, plain = photo(70, 48), codec.with_options(coder="tables")
    data, plain_data = codec.compress(image), plain.compress(image)
    assert [read_info(one).coder for one in (data, plain_data)] == ["context_coded", "tables"]
    assert equal(codec.decode_latent(data), codec.decode_latent(plain_data))
    assert (
        codec.decompress(data).tobytes() == plain.decompress(data).tobytes() == plain.decompress(plain_data).tobytes()
    )
    labels = [one.label for one in codec.variants() if not one.is_control]
    assert labels == [*(["fixed_length"] if system == "sae" else []), "tables", kind]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_an_error_and_behind_a_right_checksum_an_image_at_most(
    make_context: MakeCheckpoint, kind: str, system: str
) -> None:
    """Of the size that its header says; whoever forges a checksum gets noise or a BitstreamError, nothing else."""
    codec = load_codec(make_context(kind, system), max_pixels=10_000)
    data, rng, outcomes = codec.compress(photo(40, 24)), np.random.default_rng(0), []
    for trial in range(60):
        if trial % 3:
            damaged = data[:HEADER_BYTES] + corrupted(data[HEADER_BYTES:], rng)
        else:
            damaged = corrupted(data[:HEADER_BYTES], rng) + data[HEADER_BYTES:]
        if damaged != data:
            with pytest.raises(BitstreamError):
                codec.decompress(damaged)
        outcomes.append(outcome(codec, with_fixed_checksum(damaged)))
    assert set(outcomes) <= {"refused", "image"} and outcomes.count("refused") > 30


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_file_of_another_context_model_over_the_same_networks_is_refused(
    make_context: MakeCheckpoint, system: str
) -> None:
    paths = [*(make_context(kind, system) for kind in KINDS), make_context("xgboost", system, location=False)]
    codecs = [load_codec(path) for path in paths]
    weights = [codec.model.state_dict() for codec in codecs]
    assert all(torch.equal(one[name], weights[0][name]) for one in weights for name in weights[0])
    files = [codec.compress(photo(70, 48)) for codec in codecs]
    pixels = {codec.decompress(data).tobytes() for codec, data in zip(codecs, files, strict=True)}
    assert len(pixels) == 1, "the same networks make the same pixels"
    for reader in codecs:
        for writer, data in zip(codecs, files, strict=True):
            if writer is reader:
                continue
            with pytest.raises(WrongModelError, match=f"{writer.fingerprint.hex()}.*{reader.fingerprint.hex()}"):
                reader.decompress(data)


def edited(path: Path, name: str, edit: Callable[[NDArray[Any]], NDArray[Any]]) -> Path:
    """With another array of the context model, and the fingerprint that goes with it."""
    checkpoint = torch.load(path, weights_only=True)
    entry = checkpoint["hific"]
    key = f"context_coded.model.{name}"
    entry["tables"][key] = torch.from_numpy(edit(entry["tables"][key].numpy()).copy())
    state = checkpoint["state_dict"]
    weights = {key.removeprefix(WEIGHTS_PREFIX): state[key] for key in state if key.startswith(WEIGHTS_PREFIX)}
    described = [entry["arguments"], entry["coding"]]
    entry["fingerprint"] = model_fingerprint(entry["family"], described, weights, entry["tables"]).hex()
    torch.save(checkpoint, path)
    return path


def booster_of(trees: NDArray[np.uint8]) -> xgboost.Booster:
    booster = xgboost.Booster()
    booster.load_model(bytearray(trees.tobytes()))
    return booster


def saved(booster: xgboost.Booster, form: str = "ubj") -> NDArray[np.uint8]:
    return np.frombuffer(bytes(booster.save_raw(form)), np.uint8)


def with_trees(edit: Callable[[dict[str, Any]], object]) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """The library's bytes of a model whose trees are edited."""

    def edit_model(trees: NDArray[np.uint8]) -> NDArray[np.uint8]:
        document = json.loads(bytes(booster_of(trees).save_raw("json")))
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


def add_to_the_last(logits: NDArray[np.int32]) -> NDArray[np.int32]:
    return logits + (np.arange(logits.size) == logits.size - 1).reshape(logits.shape).astype(np.int32)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("trees", with_trees(raise_leaves), "predicts otherwise"),
        ("trees", with_trees(move_splits), "predicts otherwise"),
        ("trees", lambda trees: saved(booster_of(trees)[:3]), "predicts otherwise"),
        ("trees", lambda trees: trees[: len(trees) // 2], "cannot read"),
        ("check_logits", add_to_the_last, "predicts otherwise"),
        ("check_features", lambda features: features[::-1], "predicts otherwise"),
        ("check_features", lambda features: features[1:], "predicts otherwise"),
        ("table_logits", lambda logits: logits - np.arange(logits.shape[1], dtype=np.int16), "predicts otherwise"),
    ],
    ids=["leaves", "splits", "a tree less", "cut", "logits", "features", "fewer features", "tables"],
)
def test_a_library_that_predicts_otherwise_is_noticed_behind_a_right_fingerprint(
    make_context: MakeCheckpoint, system: str, name: str, edit: Callable[[Any], Any], message: str
) -> None:
    path = make_context("xgboost", system)
    load_codec(edited(path, name, lambda array: array))
    with pytest.raises(CheckpointError, match=rf"{path.name}: xgboost {xgboost.__version__}.*{message}") as refused:
        load_codec(edited(path, name, edit))
    assert ".so" not in str(refused.value), "the library's reason, not its stack"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_booster_saved_anew_codes_the_same_streams(make_context: MakeCheckpoint, system: str, form: str) -> None:
    path, image = make_context("xgboost", system), photo(70, 48)
    before = load_codec(path)
    after = load_codec(edited(path, "trees", lambda trees: saved(booster_of(trees), form)))
    trees = [codec.coding.state()["context_coded.model.trees"] for codec in (before, after)]
    assert not np.array_equal(*trees) or form == "ubj"
    one, other = before.compress(image), after.compress(image)
    assert one[8:-4] == other[8:-4], "all but fingerprint and checksum"
    assert equal(before.decode_latent(one), after.decode_latent(other))
