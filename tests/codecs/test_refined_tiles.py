"""The flags of refined tiles in a file, and refined files of a codec."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hific.codecs.hyperprior_codec import HyperpriorCodec
from hific.codecs.hyperprior_coding import HyperpriorCoding
from hific.codecs.refined_tiles import pack_flags, unpack_flags
from hific.coding.container import pack, unpack
from hific.context.fit_refinement import RefinementFit
from hific.context.refinement import Refinement
from hific.errors import BitstreamError, CorruptedError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

TILE = 16
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 35, 3), dtype=np.uint8)


@cache
def linear_refinement() -> Refinement:
    """Fitted to photos that are 8 levels too dark: it brightens."""
    rng = np.random.default_rng(0)
    fit = RefinementFit(side=3, tile=TILE, rounds=0, pixels_per_photo=256)
    photos = [rng.integers(60, 180, (32, 32, 3), dtype=np.uint8) for _ in range(3)]
    return fit([fit.patches(index, photo, photo + 8) for index, photo in enumerate(photos)])


@cache
def codec(refine: bool | None = None, tile: int = 1024) -> HyperpriorCodec:
    torch.manual_seed(0)
    model = HyperpriorAutoencoder(widths=(4, 6, 8, 10, 12), latent_channels=4, hyper_channels=4, residual_blocks=1)
    with torch.no_grad():
        model.eval()(torch.rand(1, 3, 64, 64))
    coding = replace(HyperpriorCoding.from_model(model), refinement=linear_refinement())
    return HyperpriorCodec(model, coding, b"\1\2\3\4", refine=refine, tile=tile)


@given(st.integers(1, 100), st.integers(1, 100), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_flags_return(height: int, width: int, seed: int, share: float) -> None:
    refinement = linear_refinement()
    flags = np.random.default_rng(seed).random(refinement.grid(height, width)) < share
    parts = pack_flags(flags)
    assert sum(map(len, parts)) == (-(-flags.size // 8) if flags.any() else 0)
    found = unpack_flags(parts, refinement, height, width)
    assert np.array_equal(np.zeros_like(flags) if found is None else found, flags)


@pytest.mark.parametrize(
    "parts", [(b"",), (b"\0",), (b"\x81",), (b"\x80\0",), (b"\x80", b"\x80"), (b"\x80", b"")], ids=repr
)
def test_other_flags_than_are_written_are_refused(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(CorruptedError):
        unpack_flags(parts, linear_refinement(), 20, 40)  # 2 x 3 tiles


def test_flags_for_a_model_without_refinement_are_refused() -> None:
    without = HyperpriorCodec(codec().model, replace(codec().coding_tables, refinement=None), b"\1\2\3\4")
    assert without.setting == "hyperprior"
    with pytest.raises(CorruptedError, match="knows nothing"):
        without.decompress(_with_flags(codec(refine=False).compress(IMAGE), b"\x80\0"))
    with pytest.raises(ValueError, match="no refinement"):
        without.with_options(refine=True)


def test_a_tile_is_refined_where_that_is_closer() -> None:
    plain = codec(refine=False)
    before = np.asarray(plain.decompress(plain.compress(IMAGE)))
    brighter = before.copy()
    brighter[:TILE, TILE : 2 * TILE] += 8  # one tile of what the model makes needs the correction, the rest is perfect
    refinement = linear_refinement()
    flags = refinement.choose(before, brighter)
    assert flags.tolist() == [[False, True, False], [False] * 3, [False] * 3, [False] * 3]
    assert ((refinement.apply(before, flags).astype(int) - brighter) ** 2).sum() < TILE * TILE * 3 * 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (33, 51), (64, 16)])
def test_refined_files_are_closer_and_decoded_alike_in_tiles(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    refined, plain = codec(), codec(refine=False)
    data, plain_data = refined.compress(image), plain.compress(image)
    assert unpack(data, max_pixels=10**6).stream == unpack(plain_data, max_pixels=10**6).stream
    errors = [((np.asarray(refined.decompress(one)).astype(int) - image) ** 2).sum() for one in (data, plain_data)]
    assert errors[0] <= errors[1] and (errors[0] < errors[1]) == (refined.refined_share(data) > 0)
    in_tiles = np.asarray(codec(tile=16).decompress(data)).astype(int)
    assert np.abs(in_tiles - np.asarray(refined.decompress(data))).max() <= 2


def test_damaged_flags_never_pass() -> None:
    data = codec().compress(IMAGE)
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        with pytest.raises(BitstreamError):
            codec().decompress(bytes(damaged))


def test_a_file_holds_no_flags_where_no_tile_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(self: Refinement, *images: Any) -> np.ndarray[Any, Any]:
        return np.zeros(self.grid(*images[0].shape[:2]), bool)

    monkeypatch.setattr(Refinement, "choose", choose)
    assert codec().compress(IMAGE) == codec(refine=False).compress(IMAGE)


def _with_flags(data: bytes, *parts: bytes) -> bytes:
    header, _, stream = unpack(data, max_pixels=10**6)
    return pack(header, parts, stream)
