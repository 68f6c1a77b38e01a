"""The search finds what an exhaustive one would, with few encodings."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hific.codecs.pillow_codecs import CODEC_NAMES, PillowFamily
from hific.evaluation.rate_search import Files, FormatLimitError, RateNotReachedError, match_bytes
from hific.programs import ProgramError, ProgramStoppedError

PIXELS = np.zeros((4, 4, 3), np.uint8)


@dataclass(frozen=True)
class TableCodec:
    """Writes files of the size that a table says."""

    size: int
    scale: int
    log: list[int]
    name: str = "table"
    extension: str = ".bin"

    @property
    def setting(self) -> str:
        return f"size {self.size}"

    def compress(self, image: object) -> bytes:
        self.log.append(self.size)
        return bytes(self.size)

    def decompress(self, data: bytes) -> Image.Image:
        return Image.fromarray(PIXELS)


@dataclass(frozen=True)
class TableFamily:
    sizes: Sequence[Sequence[int]]
    log: list[int] = field(default_factory=list)
    name: str = "table"
    version: str = "1"

    @property
    def settings(self) -> Sequence[int]:
        return range(len(self.sizes[0]))

    @property
    def scales(self) -> Sequence[int]:
        return [2**number for number in range(len(self.sizes))]

    def codec(self, setting: int, scale: int) -> TableCodec:
        return TableCodec(self.sizes[self.scales.index(scale)][setting], scale, self.log)


rising = st.lists(st.integers(0, 500), min_size=1, max_size=70).map(sorted)


@given(sizes=rising, limit=st.integers(0, 600))
def test_the_largest_file_that_fits_is_found_with_logarithmic_effort(sizes: list[int], limit: int) -> None:
    family = TableFamily([sizes])
    if sizes[0] > limit:
        with pytest.raises(RateNotReachedError, match=f"below {sizes[0]} bytes"):
            match_bytes(family, PIXELS, limit)
        return
    _, data = match_bytes(family, PIXELS, limit)
    assert len(data) == sizes[bisect_right(sizes, limit) - 1]
    assert len(family.log) <= 2 * len(sizes).bit_length() + 1  # every other step halves at least
    assert len(family.log) == len(set(family.log)) or len(set(sizes)) < len(sizes)  # nothing is coded twice


@given(sizes=st.lists(st.integers(0, 500), min_size=1, max_size=70), limit=st.integers(0, 600))
def test_no_file_is_ever_above_the_limit_even_where_sizes_do_not_rise(sizes: list[int], limit: int) -> None:
    family = TableFamily([sizes])
    try:
        codec, data = match_bytes(family, PIXELS, limit)
    except RateNotReachedError as error:
        assert len(error.data) > limit
    else:
        assert len(data) == codec.size <= limit
        assert len(data) >= max(size for size in family.log if size <= limit)


def test_the_image_is_made_smaller_only_where_the_full_one_cannot_go_so_low() -> None:
    family = TableFamily([[100, 200], [40, 90], [10, 30]])
    assert match_bytes(family, PIXELS, 100)[0].scale == 1
    codec, data = match_bytes(family, PIXELS, 95)
    assert (codec.scale, len(data)) == (2, 90)
    assert match_bytes(family, PIXELS, 39)[0].scale == 4


def test_where_no_scale_can_the_smallest_file_of_all_comes_with_the_error() -> None:
    with pytest.raises(RateNotReachedError) as caught:
        match_bytes(TableFamily([[100, 200], [40, 90], [60, 70]]), PIXELS, 10)
    assert (len(caught.value.data), caught.value.codec.scale) == (40, 2)


@pytest.mark.parametrize("name", CODEC_NAMES)
def test_the_next_better_setting_of_a_real_codec_does_not_fit(name: str, picture: np.ndarray) -> None:
    family = PillowFamily(name, speed=10)
    limit = 900
    codec, data = match_bytes(family, picture, limit)
    assert codec.compress(picture) == data and len(data) <= limit
    better = [setting for setting in family.settings if setting > codec.quality]
    larger = next(
        size for setting in better if (size := len(family.codec(setting, codec.scale).compress(picture))) > len(data)
    )
    assert larger > limit


def test_an_image_beyond_a_format_is_coded_smaller_or_not_at_all() -> None:
    wide = np.zeros((2, 16384, 3), np.uint8)
    codec, data = match_bytes(PillowFamily("webp"), wide, 10**6)
    assert codec.scale == 2 and codec.decompress(data).size == (16384, 2)
    with pytest.raises(FormatLimitError, match="webp"):
        match_bytes(PillowFamily("webp"), np.zeros((2, 70_000, 3), np.uint8), 10**6)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ProgramStoppedError("vvencapp failed (timed out)"), ProgramStoppedError),
        (OSError(28, "No space left on device"), OSError),
        (ProgramError("x265 failed (too small)"), FormatLimitError),
        (OSError("encoder error -2"), FormatLimitError),
    ],
)
def test_what_this_machine_lacks_is_no_limit_of_a_format(raised: Exception, told: type[Exception]) -> None:
    def fail(*_: object) -> Any:
        raise raised

    with pytest.raises(told) as caught:
        match_bytes(PillowFamily("webp"), PIXELS, 1000, Files(fail))
    assert caught.type is told
