"""docs/file_format.md is enough to decode by: its own Python, put together, reads every golden file and a file of a
shipped model, with nothing of hific in it; its example says what each byte is."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

import hific
from hific import zoo
from hific.fitting.postfilter import PostFilterFit

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
PAGE = (ROOT / "docs" / "file_format.md").read_text()
EXAMPLE = (GOLDEN / "hific_tables.hfc").read_bytes()


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    """What the page's blocks define, one behind another."""
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S))
    assert "hific" not in re.findall(r"^(?:import|from) (\w+)", program, re.M)
    names: dict[str, Any] = {}
    exec(compile(program, "docs/file_format.md", "exec"), names)
    return names


def section(title: str) -> str:
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#)", PAGE, re.M | re.S)
    assert found is not None, title
    return found[1]


def rows_of(table_after: str, text: str) -> list[list[str]]:
    """Cells of the table whose header begins so."""
    lines = text[text.index(table_after) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.hfc")))
def test_the_page_decodes_a_golden_file(name: str, written: dict[str, Any]) -> None:
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    switch_shapes = [arrays["switches"].shape] if "switches" in arrays else []
    coding = json.loads(str(arrays["description"]))
    found = written["decode"]((GOLDEN / f"{name}.hfc").read_bytes(), arrays, coding, switch_shapes)
    np.testing.assert_array_equal(found["hyper_symbols"], arrays["hyper_symbols"])
    np.testing.assert_array_equal(found["symbols"], arrays["symbols"])
    np.testing.assert_array_equal(found["means"] / 1024, arrays["means"])
    for switches in found["switches"]:
        np.testing.assert_array_equal(switches, arrays["switches"])
    np.testing.assert_array_equal(found["flags"], arrays.get("flags"))


@pytest.mark.parametrize("name", ["hific-xgboost-low", "hific-medium"])
def test_the_page_decodes_a_file_of_a_shipped_model_to_its_pixels(name: str, written: dict[str, Any]) -> None:
    codec, checkpoint = hific.load_codec(name), zoo.read(name)
    photo = np.ascontiguousarray(data.astronaut()[100:133, 180:217])
    file = codec.compress(photo)
    entry = checkpoint["hific"]
    arrays = {key: tensor.numpy() for key, tensor in entry["tables"].items()}
    found = written["decode"](file, arrays, entry["coding"])
    np.testing.assert_array_equal(found["symbols"], codec.decode_latent(file).symbols)
    latent_hat = (found["symbols"] + found["means"] / 1024).astype(np.float32)
    pixels = written["synthesize"](checkpoint["state_dict"], latent_hat, 37, 33).astype(int)
    # Floating point: in the last bit, and so by a level where a half is near.
    assert np.abs(pixels - np.array(codec.decompress(file))).max() <= 1


def test_the_page_corrects_pixels_as_the_post_filter_does(written: dict[str, Any]) -> None:
    fit = PostFilterFit(side=5, tile=16, pixels_per_photo=512, rounds=3, max_depth=2, min_child_weight=5, num_threads=1)
    photo, other = (np.ascontiguousarray(one[100:140, 200:250]) for one in (data.coffee(), data.astronaut()))
    decoded = (photo // 24 * 24).astype(np.uint8)
    postfilter = fit([fit.patches(0, decoded, photo), fit.patches(1, (other // 24 * 24).astype(np.uint8), other)])
    flags = np.random.default_rng(0).random(postfilter.grid(40, 50)) < 0.7
    arrays = {f"post_filter.{key}": array for key, array in postfilter.arrays().items()}
    assert arrays["post_filter.trees"].size
    found = written["corrected"](decoded, flags, postfilter.description(), arrays)
    expected = postfilter.apply(decoded, flags)
    np.testing.assert_array_equal(found, expected)
    assert (expected != decoded).any()


def test_the_fingerprint_is_what_the_page_says() -> None:
    """Its text, followed here once more."""
    checkpoint = zoo.read("hific-low")
    entry = checkpoint["hific"]
    described = ["hific", [entry["arguments"], entry["coding"]]]
    parts = [json.dumps(described, sort_keys=True, separators=(",", ":")).encode()]
    for group in (checkpoint["state_dict"], entry["tables"]):
        named = {name: tensor.numpy() for name, tensor in group.items()}
        parts.append(str(len(named)).encode())
        for name in sorted(named):
            array = named[name]
            shown = name.removeprefix("model.")
            parts += [f"{shown} {array.dtype} {list(array.shape)}".encode(), array.tobytes()]
    digest = sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts))
    assert digest.hexdigest() == entry["fingerprint"]


def test_the_dump_is_the_file() -> None:
    lines = re.findall(r"^ *(\d+)  ((?:[0-9a-f]{2} ?)+)$", section("An example"), re.M)
    assert [int(offset) for offset, _ in lines] == list(range(0, len(EXAMPLE), 16))
    assert bytes.fromhex("".join(text for _, text in lines)) == EXAMPLE


def test_every_annotated_byte_is_there_and_the_header_is_whole() -> None:
    rows = rows_of("| offset | bytes | means |", section("An example"))
    annotated = {int(offset): bytes.fromhex(text.strip("`")) for offset, text, _ in rows}
    for offset, expected in annotated.items():
        assert EXAMPLE[offset : offset + len(expected)] == expected, offset
    covered = [place for offset, text in annotated.items() for place in range(offset, offset + len(text))]
    assert covered[:24] == list(range(24)) and covered[-4:] == list(range(len(EXAMPLE) - 4, len(EXAMPLE)))


def test_the_header_of_the_example_is_read_by_the_table_of_offsets() -> None:
    """By its column of bytes alone: fields follow one another from offset 0."""
    fields, place = {}, 0
    for offset, size, what in rows_of("| offset | bytes | what |", section("The bytes of a file")):
        if not size:
            break
        assert offset in ("", str(place)), what
        end = place + int(size[0])
        while "varint" in what and EXAMPLE[end - 1] & 128:
            end += 1
        fields[what.split(",")[0].split(" ")[0]] = EXAMPLE[place:end]
        place = end
    assert place == 12 and fields["magic"] == b"HFC" and fields["version"] == b"\2"
    assert fields["fingerprint"] == b"\xc0\xff\xee\0" and fields["flags"] == b"\x09"
    numbers = [sum((byte & 127) << 7 * i for i, byte in enumerate(fields[name])) for name in ("width", "height")]
    assert numbers == [144, 112]


def test_the_first_symbols_go_as_the_example_says(written: dict[str, Any]) -> None:
    text = section("An example")
    told = re.search(r"^```text\n((?:\d+ ?)+)\n```$", text, re.M)
    assert told is not None
    frequencies = [int(one) for one in told[1].split()]
    arrays = dict(np.load(GOLDEN / "hific_tables.npz"))
    tables = written["Tables"](arrays, "prior.hyper_tables.")
    assert tables.frequencies[0].tolist() == frequencies and list(tables.values(0)) == list(range(-4, 5))
    _, stream = written["read_file"](EXAMPLE)
    decoder = written["RangeDecoder"](stream)
    values = arrays["hyper_symbols"][0].ravel().tolist()
    for index, row in enumerate(rows_of("| low | width | point |", text)):
        low, width, point, quantile, entry, value = (cell.strip("`") for cell in row)
        assert [decoder.low, decoder.width, decoder.point] == [int(one, 16) for one in (low, width, point)]
        assert (decoder.point - decoder.low) % 2**64 // (decoder.width >> 24) == int(quantile)
        assert decoder.read(frequencies) == int(entry)
        assert value == "escape" if int(entry) == 9 else int(value) == values[index] == int(entry) - 4
    assert values[1] == 14
