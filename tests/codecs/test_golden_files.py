"""Files of the present format decode as they always did, and are still written byte for byte, on every machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from context_cases import CHANNELS, KINDS, laplace_tables

from hific.codecs.latent_coding import LatentCoding, UncodedLatent
from hific.codecs.priors import ChannelPrior, HyperPrior
from hific.coding.container import CODECS, CODERS, Header, pack, unpack
from hific.coding.range_coder import RangeDecoder, RangeEncoder
from hific.context.symbol_bins import skip_mask
from hific.postfilter.postfilter import code_flags

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.hfc"))
NOT_STATE = ("description", "latent", "hyper_symbols", "symbols", "means", "table_ids", "switches", "flags")
MAKE_PRIOR: dict[str, Any] = {"hific": HyperPrior.from_state, "compressnet": ChannelPrior.from_state}


def golden(name: str) -> tuple[LatentCoding, dict[str, Any], bytes]:
    """Coding, what was coded, and the file."""
    arrays = dict(np.load(GOLDEN / f"{name}.npz"))
    known = {part: arrays.pop(part) for part in NOT_STATE if part in arrays}
    description = json.loads(str(known.pop("description")))
    coding = LatentCoding.from_state(MAKE_PRIOR[name.split("_")[0]], description, arrays)
    return coding, known, (GOLDEN / f"{name}.hfc").read_bytes()


def source_of(known: dict[str, Any]) -> UncodedLatent:
    planes = (known["switches"],) if "switches" in known else ()
    return UncodedLatent(known["latent"], known["hyper_symbols"], planes)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_decodes(name: str) -> None:
    coding, known, data = golden(name)
    height, width = (16 * length for length in known["latent"].shape[1:])
    header, stream = unpack(data, max_pixels=width * height)
    codec = name.split("_")[0]
    assert header == Header(b"\xc0\xff\xee\x00", width, height, codec, header.coder, post_filter="flags" in known)
    blank = UncodedLatent(*(np.zeros_like(one) for one in (known["latent"], known["hyper_symbols"])))
    if "switches" in known:
        blank = UncodedLatent(blank.latent, blank.hyper_symbols, (np.zeros_like(known["switches"]),))
    decoder = RangeDecoder(stream)
    decoded = coding.code(decoder, coding.coders[header.coder], blank)
    if "flags" in known:
        np.testing.assert_array_equal(code_flags(decoder, np.zeros_like(known["flags"])), known["flags"])
    decoder.finish()
    for part in ("hyper_symbols", "symbols", "means"):
        np.testing.assert_array_equal(getattr(decoded, part), known[part])
    for plane in decoded.side_information:
        np.testing.assert_array_equal(plane, known["switches"])
    table_ids = coding.prior.predict(decoded.hyper_symbols, *known["latent"].shape[1:]).table_ids
    np.testing.assert_array_equal(table_ids, known["table_ids"])


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_is_written_byte_for_byte(name: str) -> None:
    coding, known, data = golden(name)
    header = unpack(data, max_pixels=1 << 20).header
    encoder = RangeEncoder()
    coding.code(encoder, coding.coders[header.coder], source_of(known))
    if "flags" in known:
        code_flags(encoder, known["flags"])
    assert pack(header, encoder.get_bytes()) == data


def test_there_is_one_of_every_codec_coder_and_context_model() -> None:
    headers = [unpack((GOLDEN / f"{name}.hfc").read_bytes(), max_pixels=1 << 20).header for name in NAMES]
    made = {(header.codec, header.coder) for header in headers}
    assert made == {(codec, coder) for codec in CODECS for coder in CODERS} - {("hific", "fixed_length")}
    kinds = [coder.label for name in NAMES for coder in golden(name)[0].coders.values()]
    assert set(KINDS) <= set(kinds) and any(header.post_filter for header in headers)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_files_hold_what_is_rare(kind: str) -> None:
    """Escapes, and what its table gives one in thousands."""
    _, known, _ = golden(f"hific_{kind}")
    sure = skip_mask(laplace_tables())[known["table_ids"]]
    symbols = known["symbols"]
    assert symbols.shape == (CHANNELS, 9, 14) and symbols[sure].any() and np.abs(symbols[~sure]).max() > 10**5
    assert known["flags"].any() and not known["flags"].all()
