"""Checkpoints that were changed on purpose, fingerprint and all: refused in a line, or they code."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.fuzz.checkpoints import Checkpoint, forged_fingerprint, mutated, try_checkpoint
from benchmarks.fuzz.outcomes import Outcomes
from benchmarks.fuzz.tiny_models import tiny_checkpoints
from hific.codecs.load import codec_of_checkpoint, load_codec
from hific.coding.exact_trees import load_booster
from hific.coding.tree_document import check_trees, read_ubjson
from hific.errors import CheckpointError

HUGE = 2**31 - 1


def forged(name: str, edit: Callable[[Checkpoint], object]) -> Checkpoint:
    """A tiny checkpoint, changed, with the fingerprint that it has then."""
    original = tiny_checkpoints()[name]
    entry = {**original["hific"], "tables": dict(original["hific"]["tables"])}
    entry |= {key: dict(entry[key]) for key in ("arguments", "coding")}
    entry["coding"] = {key: dict(value) for key, value in entry["coding"].items()}
    checkpoint = {"state_dict": dict(original["state_dict"]), "hific": entry}
    edit(checkpoint)
    # Of what is no plain tensor there is none.
    with suppress(NotImplementedError, RuntimeError):
        entry["fingerprint"] = forged_fingerprint(checkpoint)
    return checkpoint


def trees_of(name: str) -> np.ndarray:
    tables = tiny_checkpoints()[name]["hific"]["tables"]
    (trees,) = (table for key, table in tables.items() if key.endswith(".trees"))
    return np.asarray(trees.numpy())


def with_number(trees: np.ndarray, name: str, index: int, number: int) -> np.ndarray:
    """The first tree's array of that name, one of its numbers replaced."""
    data = bytearray(trees.tobytes())
    start = data.index(name.encode() + b"[$l#L") + len(name) + 5 + 8
    data[start + 4 * index : start + 4 * index + 4] = number.to_bytes(4, "big", signed=True)
    return np.frombuffer(bytes(data), np.uint8)


@pytest.mark.parametrize("model", ["hific_xgboost", "hific_postfilter"])
@pytest.mark.parametrize(
    ("name", "index", "number"),
    [
        ("left_children", 0, -2),
        ("left_children", 0, HUGE),
        ("left_children", 0, 0),
        ("right_children", 0, 0),
        ("right_children", 0, 7777),
        ("left_children", 1, 1),
        ("left_children", 1, 0),
        ("parents", 1, 2),
        ("split_indices", 0, 500),
        ("split_indices", 0, -1),
        ("split_indices", 0, HUGE),
    ],
)
def test_trees_that_the_library_would_follow_blindly(model: str, name: str, index: int, number: int) -> None:
    trees = trees_of(model)
    check_trees(trees)
    load_booster(trees)
    with pytest.raises(ValueError, match=r"child|feature|parent|node"):
        check_trees(with_number(trees, name, index, number))
    key = next(key for key in tiny_checkpoints()[model]["hific"]["tables"] if key.endswith(".trees"))

    def edit(checkpoint: Checkpoint) -> None:
        checkpoint["hific"]["tables"][key] = torch.from_numpy(with_number(trees, name, index, number).copy())

    with pytest.raises(CheckpointError, match="cannot read the checkpoint's trees") as refused:
        codec_of_checkpoint(forged(model, edit), Path("made.ckpt"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"}", b"{}}", b"[", b"{i\x01a", b"{i\x01aZi\x01aZ}", b"{i\x01a[#L" + b"\x7f" * 8, b"{i\xff}"),
        b"{i\x01a[$d#L" + b"\x7f" * 8 + b"}",
        b"{i\x01a" + b"[#i\x01" * 500 + b"Z",
        b"{i\x01aSl\x7f\xff\xff\xff}",
    ],
)
def test_documents_that_are_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_ubjson(data)


def test_a_document_of_each_type() -> None:
    data = b"{i\x01ai\xffi\x01b[$l#i\x02\0\0\0\1\0\0\0\2i\x01cSi\x02hii\x01d[#i\x02TZi\x01eD?\xf8\0\0\0\0\0\0}"
    document = read_ubjson(data)
    assert document["b"].tolist() == [1, 2] and document["c"] == "hi" and document["d"] == [True, None]
    assert document["a"] == -1 and document["e"] == 1.5


def every_weight(make: Callable[[torch.Tensor], Any]) -> Callable[[Checkpoint], object]:
    def edit(checkpoint: Checkpoint) -> None:
        name = next(iter(checkpoint["state_dict"]))
        checkpoint["state_dict"][name] = make(checkpoint["state_dict"][name])

    return edit


def table(name: str, make: Callable[[torch.Tensor], Any]) -> Callable[[Checkpoint], object]:
    return lambda c: c["hific"]["tables"].update({name: make(c["hific"]["tables"][name])})


@pytest.mark.parametrize("name", ["hific_linear", "sae_spn"])
@pytest.mark.parametrize(
    "edit",
    [
        every_weight(lambda weight: weight * float("nan")),
        every_weight(lambda weight: weight + float("inf")),
        *(every_weight(lambda weight, kind=kind: weight.to(kind)) for kind in (torch.float16, torch.bool)),
        *(every_weight(lambda weight, kind=kind: weight.to(kind)) for kind in (torch.complex64, torch.float64)),
        every_weight(lambda weight: weight.to_sparse()),
        every_weight(lambda weight: weight[:1]),
        every_weight(lambda weight: weight.to("meta")),
        every_weight(lambda weight: weight.reshape(-1)[0].clone().expand(weight.shape)),
        lambda c: c["state_dict"].popitem(),
        lambda c: c["hific"]["arguments"].update(residual_blocks=10**7),
        lambda c: c["hific"]["arguments"].update(widths=[10**6] * 5),
        lambda c: c["hific"]["arguments"].update(widths="12345"),
    ],
)
def test_weights_that_are_not_the_models(name: str, edit: Callable[[Checkpoint], object]) -> None:
    with pytest.raises(CheckpointError) as refused:
        codec_of_checkpoint(forged(name, edit), Path("made.ckpt"))
    assert "\n" not in str(refused.value) and "made.ckpt" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("hific_linear", table("context_coded.model.table_frequencies", lambda rows: rows[:3])),
        ("hific_adaptive", table("context_coded.model.table_frequencies", lambda rows: rows[:3])),
        ("hific_linear", table("context_coded.model.table_frequencies", lambda rows: rows.new_zeros(10**9, 0))),
        ("hific_adaptive", table("context_coded.model.window_size", lambda size: size + 1000)),
        ("hific_adaptive", table("context_coded.model.table_frequencies", lambda rows: rows.double())),
        ("hific_knn", table("context_coded.model.scales", lambda row: row[:-1])),
        ("hific_knn", table("context_coded.model.references", lambda rows: rows * 0 - 2**31)),
        ("hific_xgboost", table("context_coded.model.table_logits", lambda rows: rows[:3])),
        ("hific_xgboost", table("context_coded.model.check_features", lambda rows: rows[:, :-1])),
        ("hific_xgboost", table("context_coded.model.check_features", lambda rows: rows.repeat(100, 1))),
        ("hific_postfilter", table("post_filter.weights", lambda rows: rows * 0 - 2**31)),
        ("hific_postfilter", table("post_filter.check_features", lambda rows: rows[:, 1:])),
        ("hific_linear", lambda c: c["hific"]["coding"]["context_coded"].update(num_channels=10**6, num_groups=10**6)),
        ("hific_linear", lambda c: c["hific"]["coding"]["context_coded"].update(largest=128)),
        ("hific", table("prior.mean_synthesis.up1.weights", lambda w: torch.cat((w, w), 1))),
        ("hific", table("prior.latent_tables.sizes", lambda row: row * 0 + 2**16 - 1)),
        ("hific", table("prior.hyper_tables.sizes", lambda row: row.repeat(10_000))),
    ],
)
def test_parts_that_do_not_fit_show_when_a_checkpoint_is_loaded(name: str, edit: Callable[[Checkpoint], None]) -> None:
    codec_of_checkpoint(forged(name, lambda checkpoint: None), Path("made.ckpt"))
    with pytest.raises(CheckpointError) as refused:
        codec_of_checkpoint(forged(name, edit), Path("made.ckpt"))
    assert "\n" not in str(refused.value)


def test_a_description_that_would_fill_memory_when_written_out() -> None:
    nested: Any = [1]
    for _ in range(60):
        nested = [nested, nested]
    for place in ("arguments", "coding", "training", "format_version", "family"):
        checkpoint = dict(tiny_checkpoints()["sae_spn"])
        checkpoint["hific"] = {**checkpoint["hific"], place: {"a": nested} if place != "format_version" else nested}
        with pytest.raises(CheckpointError):
            codec_of_checkpoint(checkpoint, Path("made.ckpt"))


def test_a_compressed_checkpoint_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    torch.save(tiny_checkpoints()["sae_spn"], tmp_path / "plain.ckpt")
    load_codec(tmp_path / "plain.ckpt")
    with zipfile.ZipFile(tmp_path / "plain.ckpt") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for part in plain.namelist():
            made.writestr(part, plain.read(part))
    with pytest.raises(CheckpointError, match="compressed"):
        load_codec(path)


def test_a_model_that_draws_no_numbers_is_told() -> None:
    checkpoint = forged("hific", lambda c: None)
    codec = codec_of_checkpoint(checkpoint, Path("made.ckpt"))
    data = codec.compress(np.zeros((32, 32, 3), np.uint8))
    with torch.no_grad():
        for parameter in codec.model.synthesis.parameters():
            parameter.fill_(1e38)
    with pytest.raises(CheckpointError, match="not finite"):
        codec.decompress(data)


def test_changes_are_by_seed_and_some_of_a_hundred_are_refused() -> None:
    original = tiny_checkpoints()["hific_xgboost"]
    first, second = (mutated(original, np.random.default_rng(3)) for _ in range(2))
    assert first["hific"]["fingerprint"] == second["hific"]["fingerprint"]
    outcomes = Outcomes("checkpoints")
    try_checkpoint(0)  # what is imported and made once takes its time
    for seed in range(100):
        outcomes.note(seed, lambda seed=seed: try_checkpoint(seed), most_seconds=5)
    assert not outcomes.problems, outcomes.problems
    assert outcomes.outcomes["refused: CheckpointError"] > 50 and outcomes.outcomes["codes an image"] > 2
