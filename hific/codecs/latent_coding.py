"""All integers that a trained model codes with, as its checkpoint keeps them, and the one traversal that uses them.

    hyper-symbols ─────────── prior's own tables ─────────────────────┐
      └ Prior ┬ table_ids                                             │
              └ means                                                 ├─ one stream
    latent ─ minus means ─ rint ─ symbols ─ LatentCoder by table_ids ─┤
    side information ────────── a table per channel ──────────────────┘

Encoder and decoder go the same way; the coder that is passed in is the only difference. numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hific.codecs.base import Floats
from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.errors import CorruptedError
from hific.latent_coders.base import LatentCoder, Prediction, part_of
from hific.latent_coders.context_coded import ContextCoded
from hific.latent_coders.memoryless import FixedLengthCoder, TablesCoder
from hific.postfilter.postfilter import PostFilter

SidePlanes = tuple[NDArray[np.int8], ...]
Arrays = dict[str, NDArray[np.integer]]

_PRIOR, _SIDE, _CONTEXT, _POST_FILTER = "prior.", "side_tables.", "context_coded.", "post_filter."


class Prior(Protocol):
    """What is known of a latent's symbols before the first of them, in exact integers.

    latent_channels: C; tables: what `table_ids` choose among; lowest_symbol, highest_symbol: that an encoder writes;
    num_levels: how many symbols there are, where they are few and could go without tables; else None.
    """

    @property
    def latent_channels(self) -> int: ...

    @property
    def tables(self) -> SymbolTables: ...

    @property
    def lowest_symbol(self) -> int: ...

    @property
    def highest_symbol(self) -> int: ...

    @property
    def num_levels(self) -> int | None: ...

    def least_hyper_bits(self, shape: Sequence[int]) -> float:
        """What hyper-symbols of a shape [N, hz, wz] take at least."""
        ...

    def code_hyper_symbols(self, coder: RangeCoder, hyper_symbols: Ints) -> Ints:
        """Either way; returns them. A decoder takes only their shape, and raises CorruptedError for what no encoder
        writes."""
        ...

    def predict(self, hyper_symbols: Ints, height: int, width: int) -> Prediction:
        """Of a latent of `height` x `width`. The same bits on every machine."""
        ...

    def state(self) -> Arrays:
        """Plain arrays of integers for a checkpoint."""
        ...


@dataclass(frozen=True)
class UncodedLatent:
    """What a transform makes of an image: latent float32 [C, h, w], hyper-symbols int32 [N, hz, wz] (N = 0 where there
    are none), side information int8 [k, h', w'] of 0 and up."""

    latent: Floats
    hyper_symbols: Ints
    side_information: SidePlanes = ()


def blank_array(shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    """Zeros that take no memory: only their shape is for a decoder, which may find that there is nothing to decode."""
    return np.broadcast_to(np.zeros((), kind), shape)


class CodedLatent(NamedTuple):
    """What a stream holds, and the means that follow from it."""

    hyper_symbols: Ints
    symbols: Ints
    means: Floats
    side_information: SidePlanes

    @property
    def latent_hat(self) -> Floats:
        """float32 [C, h, w], what the synthesis takes."""
        # Converted before: numpy adds int32 and float32 as float64.
        return self.symbols.astype(np.float32) + self.means


@dataclass(frozen=True)
class LatentCoding:
    """The integer side of one trained model. Raises ValueError where the parts do not fit one another.

    side_tables: of each plane of side information, a table per channel; context_coded, post_filter: what was fitted
    over the finished model, or None.
    """

    prior: Prior
    side_tables: tuple[SymbolTables, ...] = ()
    context_coded: ContextCoded | None = None
    post_filter: PostFilter | None = None

    def __post_init__(self) -> None:
        if self.context_coded is None:
            return
        if self.context_coded.options.num_channels != self.prior.latent_channels:
            raise ValueError("latent coding: the context model is for a latent of other channels")
        # A checkpoint keeps the prior's alone.
        kept, own = self.prior.tables.state(), self.context_coded.tables.state()
        if not all(np.array_equal(own[name], array) for name, array in kept.items()):
            raise ValueError("latent coding: the context model is for other tables")

    @cached_property
    def coders(self) -> Mapping[str, LatentCoder]:
        """By the name that files have of them; the last makes the smallest."""
        found: dict[str, LatentCoder] = {}
        if self.prior.num_levels is not None:
            found["fixed_length"] = FixedLengthCoder(self.prior.lowest_symbol, self.prior.num_levels)
        found["tables"] = TablesCoder(self.prior.tables)
        if self.context_coded is not None:
            found["context_coded"] = self.context_coded
        return found

    def least_bits(self, latent_coder: LatentCoder, shapes: UncodedLatent) -> float:
        """What a latent of such shapes takes at least, whatever its values."""
        bits = self.prior.least_hyper_bits(shapes.hyper_symbols.shape) + latent_coder.least_bits * shapes.latent.size
        for tables, plane in zip(self.side_tables, shapes.side_information, strict=True):
            bits += float(tables.least_bits.sum()) * plane[0].size
        return bits

    def code(self, coder: RangeCoder, latent_coder: LatentCoder, source: UncodedLatent) -> CodedLatent:
        """Codes a latent, either way. A decoder takes only the shapes of `source`.

        Raises ValueError for a latent that is not finite, for anything out of range and for other shapes than the
        model's; from a decoder, a BitstreamError for what no encoder writes.
        """
        self._check(source)
        hyper_symbols = self.prior.code_hyper_symbols(coder, source.hyper_symbols)
        prediction = self.prior.predict(hyper_symbols, *source.latent.shape[1:])
        symbols = latent_coder.code(coder, self._rounded(source.latent - prediction.means), prediction.table_ids)
        if not self.prior.lowest_symbol <= int(symbols.min()) <= int(symbols.max()) <= self.prior.highest_symbol:
            raise CorruptedError("the coded stream holds a symbol that no encoder writes")
        planes = zip(self.side_tables, source.side_information, strict=True)
        side_information = tuple(_code_plane(coder, plane, tables) for tables, plane in planes)
        return CodedLatent(hyper_symbols, symbols, prediction.means, side_information)

    def quantize(self, source: UncodedLatent) -> tuple[CodedLatent, Ints]:
        """What a file would hold of a latent, and the table ids of its symbols, without coding it."""
        self._check(source)
        prediction = self.prior.predict(source.hyper_symbols, *source.latent.shape[1:])
        symbols = self._rounded(source.latent - prediction.means)
        coded = CodedLatent(source.hyper_symbols, symbols, prediction.means, source.side_information)
        return coded, prediction.table_ids

    def _rounded(self, centered: Floats) -> Ints:
        rounded = np.rint(centered)
        # Also where the latent is not a number.
        if not ((rounded >= self.prior.lowest_symbol) & (rounded <= self.prior.highest_symbol)).all():
            raise ValueError("the latent has values that are not finite, or too large: the model has diverged")
        return rounded.astype(np.int32)

    def _check(self, source: UncodedLatent) -> None:
        latent = source.latent
        if latent.ndim != 3 or latent.dtype != np.float32 or 0 in latent.shape:
            raise ValueError(f"a latent is float32 [C, h, w], not {latent.dtype} {latent.shape}")
        if len(latent) != self.prior.latent_channels:
            raise ValueError(f"a latent of {len(latent)} channels, the model's has {self.prior.latent_channels}")
        channels = [len(tables) for tables in self.side_tables]
        if [len(plane) for plane in source.side_information] != channels:
            raise ValueError(f"side information of {channels} channels is due")
        for tables, plane in zip(self.side_tables, source.side_information, strict=True):
            if plane.dtype != np.int8 or plane.ndim != 3 or not _all_inside(tables, plane):
                raise ValueError("side information is int8 [k, h, w] of values that its tables have")

    def description(self) -> dict[str, Any]:
        """Plain values for a checkpoint, beside `state`."""
        fitted = {"context_coded": self.context_coded, "post_filter": self.post_filter}
        return {name: part.description() for name, part in fitted.items() if part is not None}

    def state(self) -> Arrays:
        """Plain arrays of integers for a checkpoint."""
        state: Arrays = {_PRIOR + name: array for name, array in self.prior.state().items()}
        for index, tables in enumerate(self.side_tables):
            state |= {f"{_SIDE}{index}.{name}": array for name, array in tables.state().items()}
        if self.context_coded is not None:
            state |= {_CONTEXT + name: array for name, array in self.context_coded.arrays().items()}
        if self.post_filter is not None:
            state |= {_POST_FILTER + name: array for name, array in self.post_filter.arrays().items()}
        return state

    @classmethod
    def from_state(
        cls, make_prior: Any, description: Mapping[str, Any], state: Mapping[str, NDArray[np.integer]]
    ) -> LatentCoding:
        """`make_prior`: a prior of its arrays. Raises ValueError or KeyError where the rest is not what `description`
        and `state` gave, CheckpointError where a fitted part does not do here what it did."""
        prior = make_prior(part_of(state, _PRIOR))
        side = part_of(state, _SIDE)
        side_tables = tuple(SymbolTables.from_state(part_of(side, f"{plane}.")) for plane in range(_num_planes(side)))
        context_coded = post_filter = None
        if "context_coded" in description:
            # Before what takes longer the more channels there are.
            if description["context_coded"]["num_channels"] != prior.latent_channels:
                raise ValueError("latent coding: the context model is for a latent of other channels")
            context_coded = ContextCoded.from_parts(
                description["context_coded"], part_of(state, _CONTEXT), prior.tables
            )
        if "post_filter" in description:
            post_filter = PostFilter.from_parts(description["post_filter"], part_of(state, _POST_FILTER))
        coding = cls(prior, side_tables, context_coded, post_filter)
        if coding.description() != dict(description) or coding.state().keys() != state.keys():
            raise ValueError("latent coding: there is more in the checkpoint than a model has")
        return coding


def _num_planes(side: Mapping[str, Any]) -> int:
    return len({name.split(".")[0] for name in side})


def _code_plane(coder: RangeCoder, plane: NDArray[np.int8], tables: SymbolTables) -> NDArray[np.int8]:
    """Values [k, h, w], with a table per channel."""
    table_ids = np.repeat(np.arange(len(plane), dtype=np.int32), plane[0].size)
    coded = tables.code(coder, plane.astype(np.int32).ravel(), table_ids).reshape(plane.shape)
    if not _all_inside(tables, coded):
        raise CorruptedError("the coded stream holds side information that no encoder writes")
    return coded.astype(np.int8)


def _all_inside(tables: SymbolTables, plane: NDArray[np.integer]) -> bool:
    """Whether all values [k, h, w] have an entry in their channel's table."""
    starts, sizes = tables.offsets[:, None, None], tables.sizes[:, None, None]
    return bool(((plane >= starts) & (plane < starts + sizes)).all())


def holds(coded: CodedLatent, source: UncodedLatent) -> bool:
    """Whether what was coded is what there was to code."""
    pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]] = [
        (coded.hyper_symbols, source.hyper_symbols),
        (coded.symbols, np.rint(source.latent - coded.means)),
        *zip(coded.side_information, source.side_information, strict=True),
    ]
    return all(np.array_equal(*pair) for pair in pairs)
