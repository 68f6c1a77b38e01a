"""Checkpoints: what was saved is what is loaded, and nothing in a file is run, imported, or believed unchecked."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import noise

import hific
from hific.codecs.load import ENTRY_TYPES, checkpoint_entry, load_codec, model_fingerprint
from hific.errors import BitstreamError, CheckpointError

MakeCheckpoint = Callable[..., Path]

ROOT = Path(__file__).parents[2]


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    checkpoint = torch.load(path, weights_only=True)
    edit(checkpoint)
    torch.save(checkpoint, path)
    return path


def test_two_loads_are_one_codec(make_checkpoint: MakeCheckpoint) -> None:
    path = make_checkpoint(switches="predicted")
    image = noise(40, 40)
    first, second = hific.load_codec(path), load_codec(str(path), coder="fixed_length")
    assert first.fingerprint == second.fingerprint and first.name == "tiny"
    assert second.decompress(first.compress(image)).tobytes() == first.decompress(first.compress(image)).tobytes()
    assert not first.model.training and {p.device.type for p in first.model.parameters()} == {"cpu"}


def test_a_checkpoint_may_be_overwritten_while_its_codec_works(make_checkpoint: MakeCheckpoint) -> None:
    path = make_checkpoint()
    codec = load_codec(path)
    before = [parameter.clone() for parameter in codec.model.parameters()]
    path.write_bytes(bytes(path.stat().st_size))
    assert all(torch.equal(*pair) for pair in zip(before, codec.model.parameters(), strict=True))


def test_missing_damaged_and_foreign_files(tmp_path: Path, make_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_codec(tmp_path / "absent.ckpt")
    for name, content in (("empty", b""), ("text", b"hello\n" * 50), ("zip", b"PK\x03\x04" + bytes(99))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            load_codec(tmp_path / name)
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("foreign.ckpt", "list.ckpt"):
        with pytest.raises(CheckpointError, match="not one that"):
            load_codec(tmp_path / name)


def test_a_folder_leads_to_its_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a folder.*last\.ckpt"):
        load_codec(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        *(
            IndexError,
            KeyError,
            TypeError,
            AttributeError,
            AssertionError,
            RuntimeError,
            OSError,
            EOFError,
            struct.error,
        ),
        lambda text: UnicodeDecodeError("utf-8", b"", 0, 1, text),
    ],
)
def test_whatever_torch_raises_is_told_without_its_words(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch, error: Callable[[str], Exception]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error("PytorchStreamReader mmap")

    path = make_checkpoint()
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(CheckpointError, match="damaged or cut short") as refused:
        load_codec(path)
    assert str(path) in str(refused.value) and "mmap" not in str(refused.value)


def test_the_codec_tells_of_its_training_and_the_package_of_its_errors(make_checkpoint: MakeCheckpoint) -> None:
    path = make_checkpoint()
    assert load_codec(path).training == {"steps": 20}
    with pytest.raises(hific.CheckpointError):
        load_codec(edited(path, lambda checkpoint: checkpoint["hific"].pop("training")))
    assert hific.CheckpointError is CheckpointError and hific.BitstreamError is BitstreamError


def test_any_flipped_byte_or_cut_is_noticed_or_harmless(make_checkpoint: MakeCheckpoint) -> None:
    path = make_checkpoint()
    whole = path.read_bytes()
    expected = load_codec(path).fingerprint
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 0x10
        path.write_bytes(bytes(damaged if trial % 3 else whole[: rng.integers(len(whole))]))
        try:
            assert load_codec(path).fingerprint == expected
        except CheckpointError:
            refused += 1
    assert refused >= 20


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("payload_was_run",)


def test_a_pickle_inside_is_never_run(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_checkpoint()
    checkpoint = torch.load(path, weights_only=True)
    for place in (checkpoint, checkpoint["hific"], checkpoint["hific"]["arguments"]):
        place["extra"] = Payload()
        torch.save(checkpoint, path)
        with pytest.raises(CheckpointError, match="refused"):
            load_codec(path)
        del place["extra"]
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(CheckpointError):
        load_codec(path)
    assert not Path("payload_was_run").exists()


def test_a_target_is_never_imported(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    target = {"_target_": "evil_module.Model"}
    edits: list[Callable[[dict[str, Any]], object]] = [
        lambda entry: entry["arguments"].update(target),
        lambda entry: entry["arguments"].update(widths=target),
        lambda entry: entry.update(family="evil_module.Model"),
        lambda entry: entry.update(family=target),
        lambda entry: entry.update(arguments=target),
        lambda entry: entry["coding"].update(context_coded=target),
        lambda entry: entry["coding"].update(context_coded={"kind": "evil_module.Model"}),
    ]
    for edit in edits:
        path = edited(make_checkpoint(), lambda checkpoint, edit=edit: edit(checkpoint["hific"]))
        with pytest.raises(CheckpointError):
            load_codec(path)
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["hific"].update(format_version=3), "newer version .format 3, known is 2.: upgrade"),
        (lambda c: c["hific"].update(format_version=1), "unknown checkpoint format 1: train anew"),
        (lambda c: c["hific"].update(format_version="2"), "unknown checkpoint format '2'"),
        (lambda c: c["hific"].update(family="other"), "known: compressnet, hific"),
        *((lambda c, name=name: c["hific"].pop(name), f"{name}.* is missing") for name in ENTRY_TYPES),
        *((lambda c, name=name: c["hific"].update({name: 3}), f"{name}.* or no") for name in ENTRY_TYPES),
        (lambda c: c["hific"]["tables"].update(extra=3), "not tensors"),
        (lambda c: c["hific"]["tables"].update(extra=torch.zeros(1)), "fingerprint"),
        (lambda c: c["hific"]["coding"].update(extra=3), "fingerprint"),
        (lambda c: c["hific"]["arguments"].update(depth=3), "no argument depth"),
        (lambda c: c["hific"]["arguments"].update(residual_blocks=2), "fingerprint"),
        (lambda c: c["hific"].update(fingerprint="00" * 32), "fingerprint"),
        (lambda c: c["state_dict"].popitem(), None),
        (lambda c: next(iter(c["state_dict"].values())).view(-1)[0].add_(1e-6), "fingerprint"),
        (lambda c: next(iter(c["hific"]["tables"].values())).view(-1)[:1].add_(1), "fingerprint"),
    ],
)
def test_edited_checkpoints_are_refused(
    make_checkpoint: MakeCheckpoint, edit: Callable[[Any], object], message: str | None
) -> None:
    path = make_checkpoint()
    if message is None:
        # Only the last entry is not the model's.
        load_codec(edited(path, edit))
        message = "fingerprint"
    with pytest.raises(CheckpointError, match=message):
        load_codec(edited(path, edit))


@pytest.mark.parametrize(
    "edit",
    [
        lambda entry: entry["arguments"].update(latent_channels=5),
        lambda entry: entry["arguments"].update(switches="transmitted"),
        lambda entry: entry["tables"].pop("prior.sizes"),
        lambda entry: entry["tables"].update(extra=torch.zeros(1)),
        lambda entry: entry["coding"].update(extra=3),
        lambda entry: entry["coding"].update(context_coded={}),
        lambda entry: entry["coding"].update(post_filter={"side": 3}),
    ],
)
def test_forged_fingerprints_do_not_get_past_what_a_model_is(
    make_checkpoint: MakeCheckpoint, edit: Callable[[dict[str, Any]], object]
) -> None:
    def forge(checkpoint: dict[str, Any]) -> None:
        entry = checkpoint["hific"]
        edit(entry)
        weights = {key[6:]: value for key, value in checkpoint["state_dict"].items() if key.startswith("model.")}
        described = [entry["arguments"], entry["coding"]]
        entry["fingerprint"] = model_fingerprint("compressnet", described, weights, entry["tables"]).hex()

    with pytest.raises(CheckpointError, match="does not fit"):
        load_codec(edited(make_checkpoint(), forge))


def test_the_fingerprint_sees_values_names_shapes_and_types_but_no_order() -> None:
    a, b = torch.arange(6.0), torch.ones(2, 3)

    def of(weights: dict[str, torch.Tensor], tables: dict[str, torch.Tensor], **arguments: Any) -> str:
        return model_fingerprint("compressnet", [arguments, {}], weights, tables).hex()

    base = of({"a": a, "b": b}, {"t": b}, x=1, y=[1, 2])
    assert base == of({"b": b.clone(), "a": a}, {"t": b}, y=[1, 2], x=1) and len(base) == 64
    assert base == of({"a": a, "b": b.t().contiguous().t()}, {"t": b}, x=1, y=[1, 2])
    others = [
        of({"a": a + 1e-6, "b": b}, {"t": b}, x=1, y=[1, 2]),
        of({"a": a.view(2, 3), "b": b}, {"t": b}, x=1, y=[1, 2]),
        of({"a": a.double(), "b": b}, {"t": b}, x=1, y=[1, 2]),
        of({"a": a, "c": b}, {"t": b}, x=1, y=[1, 2]),
        of({"a": a}, {"b": b, "t": b}, x=1, y=[1, 2]),
        of({"a": a, "b": b}, {"t": b * 2}, x=1, y=[1, 2]),
        of({"a": a, "b": b}, {"t": b}, x=2, y=[1, 2]),
        model_fingerprint("other", [{"x": 1, "y": [1, 2]}, {}], {"a": a, "b": b}, {"t": b}).hex(),
        model_fingerprint("compressnet", [{"x": 1, "y": [1, 2]}, {"z": 1}], {"a": a, "b": b}, {"t": b}).hex(),
    ]
    assert len({base, *others}) == len(others) + 1


def test_the_protocol_and_the_package_import_no_torch() -> None:
    for module, unwanted in (("hific.codecs.base", "torch"), ("hific", "torch numpy")):
        program = f"import sys, {module}; print(*set('{unwanted}'.split()) & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "", f"{module} imports {done.stdout}"


def test_a_tensor_that_claims_more_than_it_stores_is_refused(make_hific_checkpoint: MakeCheckpoint) -> None:
    """A few bytes, viewed as 400 GB, must not be copied."""
    path = make_hific_checkpoint()
    for group in ("state_dict", "tables"):
        bomb = {"x": torch.zeros(1).expand(10**6, 10**5)}

        def plant(checkpoint: dict[str, Any], group: str = group, bomb: dict[str, Any] = bomb) -> None:
            place = checkpoint["state_dict"] if group == "state_dict" else checkpoint["hific"]["tables"]
            place["model.x"] = bomb["x"]

        with pytest.raises(CheckpointError, match="larger than what is stored"):
            load_codec(edited(make_hific_checkpoint(f"{group}.ckpt"), plant))
    assert load_codec(path).name == "hific_tiny"


def test_an_averaged_synthesis_stands_in_for_the_trained_one(make_hific_checkpoint: MakeCheckpoint) -> None:
    """Where training kept one: files are decoded with it, and the fingerprint is of it."""
    path = make_hific_checkpoint()
    plain = load_codec(path)

    def average(checkpoint: dict[str, Any]) -> None:
        state, entry = checkpoint["state_dict"], checkpoint["hific"]
        of_model = {key[6:]: value for key, value in state.items() if key.startswith("model.")}
        synthesis = {key: value for key, value in of_model.items() if key.startswith("synthesis.")}
        averaged = {key: value * 0.5 if value.is_floating_point() else value for key, value in synthesis.items()}
        state |= {"ema.average." + key.removeprefix("synthesis."): value for key, value in averaged.items()}
        coding = plain.coding
        entry |= checkpoint_entry("hific_tiny", plain.model, coding, {}, weights={**of_model, **averaged})

    codec = load_codec(edited(path, average))
    assert codec.fingerprint != plain.fingerprint
    pairs = list(zip(codec.model.synthesis.parameters(), plain.model.synthesis.parameters(), strict=True))
    assert all(torch.equal(one, 0.5 * other) for one, other in pairs)
    assert torch.equal(codec.model.analysis.head.weight, plain.model.analysis.head.weight)


def test_an_entry_is_of_plain_values_and_of_a_model_that_the_coding_is_for(make_checkpoint: MakeCheckpoint) -> None:
    codec = load_codec(make_checkpoint())
    entry = checkpoint_entry("name", codec.model, codec.coding, {"steps": 1})
    assert {key: type(entry[key]) for key in ENTRY_TYPES} == ENTRY_TYPES
    assert json.loads(json.dumps([entry["arguments"], entry["coding"]])) is not None
    torch.manual_seed(0)
    other = type(codec.model)(**{**codec.model.arguments, "latent_channels": 5})
    with pytest.raises(ValueError, match="channels"):
        checkpoint_entry("name", other, codec.coding, {})
    with pytest.raises(TypeError, match="model of no family"):
        checkpoint_entry("name", torch.nn.Linear(1, 1), codec.coding, {})
