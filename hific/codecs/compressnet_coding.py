"""CompressNet's integers to bytes: five-level symbols and, where they are transmitted, max-pool switches.

| coding | symbols int [C, h, w], 0..4 | switches int [k_i, h_i, w_i], 0..3 | where |
|---|---|---|---|
| packed | 55 in 16 bytes (nominal rate) | 2 bits each | raw parts: the latent, then each scale |
| static | a table per channel | a table per scale and channel | the stream: the latent, then the scales |
| context | the linear predictor | a table per scale and channel | the same |
| neighbor | a neighbor model, where one was fitted | a table per scale and channel | the same |

Tables come from training data and live in the checkpoint. numpy only, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hific.codecs.self_check import SelfCheckError
from hific.coding.frequency_table import TOTAL, normalize_counts
from hific.coding.packed import pack_base4, pack_base5, unpack_base4, unpack_base5
from hific.coding.range_coder import RangeCoder, RangeDecoder, RangeEncoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.fit_linear_predictor import fit_linear_predictor
from hific.context.linear_predictor import LinearPredictor
from hific.context.neighbor_model import NeighborModel
from hific.context.predictor import code_latent
from hific.errors import CorruptedError

Coding = Literal["packed", "static", "context", "neighbor"]
Shape = tuple[int, int, int]
Ints = NDArray[np.int32]
SwitchMaps = list[NDArray[np.int8]]

_CONTEXT = "context."
_NEIGHBOR = "neighbor."
_SWITCHES = "switch_tables."


@dataclass(frozen=True)
class CompressNetCoding:
    """The tables of one trained model. static_tables: int32 [C, levels]; switch_tables: int32 [k_i, 4] per scale, or
    none; neighbor: what the coding of that name predicts symbols by, or none.
    """

    static_tables: Ints
    predictor: LinearPredictor
    switch_tables: tuple[Ints, ...] = ()
    neighbor: NeighborModel | None = None

    def __post_init__(self) -> None:
        for tables in (self.static_tables, *self.switch_tables):
            if tables.ndim != 2 or (tables < 1).any() or (tables.sum(axis=1) != TOTAL).any():
                raise ValueError("coding tables: a table is not positive or does not sum to 2**16")
        if any(tables.shape[1] != 4 for tables in self.switch_tables):
            raise ValueError("coding tables: a switch has four values")
        if self.static_tables.shape != (self.predictor.num_channels, self.predictor.levels):
            raise ValueError("coding tables: static and context tables are for different models")
        if self.neighbor is not None and self.neighbor.options.num_channels != len(self.static_tables):
            raise ValueError("coding tables: the neighbor predictor is for other channels")

    @classmethod
    def fit(
        cls,
        latents: Sequence[NDArray[np.integer]],
        switch_counts: Sequence[NDArray[np.int64]] | None = None,
        levels: int = 5,
        *,
        num_channels: int | None = None,
    ) -> CompressNetCoding:
        """From training latents, integers 0..levels-1 of [C, h, w] each, any sizes; and counts [k_i, 4] of switches per
        scale.

        Without any latents the tables are uniform, and `num_channels` must be told. About a second per 2 million
        symbols.
        """
        if num_channels is None and not latents:
            raise ValueError("without latents the number of channels is unknown: pass num_channels")
        channels = len(latents[0]) if num_channels is None else num_channels
        counts = np.ones((channels, levels), np.int64)
        for latent in latents:
            _check("training latent", latent, channels, levels)
            for channel in range(channels):
                counts[channel] += np.bincount(latent[channel].ravel(), minlength=levels)
        return cls(
            normalize_counts(counts),
            fit_linear_predictor(latents, channels, levels),
            tuple(normalize_counts(np.asarray(count) + 1) for count in switch_counts or ()),
        )

    @property
    def codings(self) -> tuple[Coding, ...]:
        return ("packed", "static", "context") if self.neighbor is None else get_args(Coding)

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays of integers for a checkpoint."""
        context = {_CONTEXT + name: array for name, array in self.predictor.state().items()}
        switches = {f"{_SWITCHES}{scale}": tables for scale, tables in enumerate(self.switch_tables)}
        neighbor = {} if self.neighbor is None else self.neighbor.state()
        named = {_NEIGHBOR + name: array for name, array in neighbor.items()}
        return {"static_tables": self.static_tables, **context, **switches, **named}

    @classmethod
    def from_state(cls, state: Mapping[str, Ints]) -> CompressNetCoding:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        context = {name.removeprefix(_CONTEXT): array for name, array in state.items() if name.startswith(_CONTEXT)}
        num_scales = sum(name.startswith(_SWITCHES) for name in state)
        switch_tables = tuple(np.asarray(state[f"{_SWITCHES}{scale}"], np.int32) for scale in range(num_scales))
        static_tables = np.asarray(state["static_tables"], np.int32)
        neighbor = {name.removeprefix(_NEIGHBOR): one for name, one in state.items() if name.startswith(_NEIGHBOR)}
        return cls(
            static_tables,
            LinearPredictor.from_state(context),
            switch_tables,
            NeighborModel.from_state(neighbor) if neighbor else None,
        )

    def encode(
        self,
        coding: Coding,
        symbols: NDArray[np.integer],
        switches: Sequence[NDArray[np.integer]] | None = None,
        *,
        self_check: bool = True,
    ) -> tuple[list[bytes], bytes]:
        """(raw parts, stream) for the container. Raises ValueError for symbols or switches that do not fit the model.

        `self_check` decodes the result and compares: SelfCheckError where it differs.
        """
        maps = list(switches or ())
        self._check_input(symbols, maps)
        if coding == "packed":
            raw_parts, stream = [pack_base5(symbols.ravel()), *(pack_base4(plane.ravel()) for plane in maps)], b""
        else:
            encoder = RangeEncoder()
            self._code(encoder, coding, symbols.astype(np.int32), maps)
            raw_parts, stream = [], encoder.get_bytes()
        if self_check:
            shapes = [plane.shape for plane in maps]
            decoded, decoded_maps = self.decode(coding, symbols.shape, shapes, raw_parts, stream)
            pairs = zip([symbols, *maps], [decoded, *(decoded_maps or ())], strict=True)
            if not all(np.array_equal(before, after) for before, after in pairs):
                raise SelfCheckError(f"coding {coding!r} does not decode to what was encoded: please report it")
        return raw_parts, stream

    def decode(
        self,
        coding: Coding,
        shape: Shape,
        switch_shapes: Sequence[Shape] | None,
        raw_parts: Sequence[bytes],
        stream: bytes,
    ) -> tuple[Ints, SwitchMaps | None]:
        """Symbols int32 of `shape` [C, h, w], and switches int8 of each [k_i, h_i, w_i] where their shapes are given.

        Raises a BitstreamError for bytes that `encode` does not write for these shapes.
        """
        if coding not in self.codings:
            raise CorruptedError(f"the file is in the coding {coding!r}, of which the model that made it knows nothing")
        shapes = list(switch_shapes or ())
        if len(raw_parts) != (1 + len(shapes) if coding == "packed" else 0) or (coding == "packed" and stream):
            raise CorruptedError(f"{len(raw_parts)} raw parts and {len(stream)} stream bytes do not go with {coding!r}")
        maps: SwitchMaps
        if coding == "packed":
            symbols = unpack_base5(raw_parts[0], int(np.prod(shape))).reshape(shape)
            parts = zip(raw_parts[1:], shapes, strict=True)
            maps = [unpack_base4(part, int(np.prod(size))).reshape(size) for part, size in parts]
        else:
            decoder = RangeDecoder(stream)
            blanks = [np.zeros(size, np.int8) for size in shapes]
            symbols, maps = self._code(decoder, coding, np.zeros(shape, np.int32), blanks)
            decoder.finish()
        return symbols, maps or None

    def _code(
        self, coder: RangeCoder, coding: Coding, symbols: Ints, maps: Sequence[NDArray[np.integer]]
    ) -> tuple[Ints, SwitchMaps]:
        """The traversal of both directions: the latent, then the switches of each scale."""
        if coding == "context":
            coded = code_latent(coder, symbols, self.predictor)
        elif coding == "neighbor":
            coded = self._code_by_neighbors(coder, symbols)
        else:
            coded = _code_planes(coder, symbols, self.static_tables).astype(np.int32)
        tables_of_maps = zip(maps, self.switch_tables[: len(maps)], strict=True)
        return coded, [_code_planes(coder, plane, tables).astype(np.int8) for plane, tables in tables_of_maps]

    def _code_by_neighbors(self, coder: RangeCoder, symbols: Ints) -> Ints:
        if self.neighbor is None:
            raise ValueError("this model has no neighbor predictor: its codings are packed, static, context")
        levels = self.static_tables.shape[1]
        table_ids = channel_ids(symbols.shape)
        coded = self.neighbor.code(coder, symbols - levels // 2, table_ids, centered_tables(self.static_tables))
        coded += levels // 2
        if coded.size and not 0 <= int(coded.min()) <= int(coded.max()) < levels:
            raise CorruptedError("the coded stream holds a symbol that no encoder writes")
        return coded

    def _check_input(self, symbols: NDArray[np.integer], maps: Sequence[NDArray[np.integer]]) -> None:
        _check("latent", symbols, *self.static_tables.shape)
        if maps and len(maps) != len(self.switch_tables):
            raise ValueError(f"{len(maps)} scales of switches, the model's tables are for {len(self.switch_tables)}")
        for scale, plane in enumerate(maps):
            _check(f"switches of scale {scale + 1}", plane, *self.switch_tables[scale].shape)


def channel_ids(shape: Shape) -> Ints:
    """Each symbol's channel, int32 [C, h, w]."""
    channels = np.arange(shape[0], dtype=np.int32)[:, None, None]
    return np.broadcast_to(channels, shape)


def centered_tables(static_tables: Ints) -> SymbolTables:
    """The static tables, of levels less the middle one: what a neighbor model starts from."""
    num_tables, levels = static_tables.shape
    frequencies = np.append(static_tables, np.ones((num_tables, 1), np.int32), axis=1)
    frequencies[np.arange(num_tables), static_tables.argmax(axis=1)] -= 1  # the escape's
    offsets = np.full(num_tables, -(levels // 2), np.int32)
    return SymbolTables(offsets, np.full(num_tables, levels, np.int32), frequencies.ravel().astype(np.int32))


def _code_planes(coder: RangeCoder, values: NDArray[np.integer], tables: Ints) -> NDArray[np.integer]:
    """Values [k, h, w] with a table per channel, [k, K]; channel by channel, as switches are millions."""
    coded = np.empty_like(values)
    table_ids = np.zeros(values[0].size, np.int32)
    for channel in range(len(values)):
        plane = values[channel].astype(np.int32).ravel()
        symbols = coder.code_grouped(plane, table_ids, tables[channel : channel + 1])
        coded[channel] = symbols.reshape(values[channel].shape)
    return coded


def _check(what: str, values: NDArray[np.integer], num_channels: int, num_values: int) -> None:
    if values.ndim != 3 or len(values) != num_channels:
        raise ValueError(f"{what}: {num_channels} channels [C, h, w] are due, not an array of {list(values.shape)}")
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < num_values:
        raise ValueError(f"{what}: values lie in 0..{num_values - 1}, not {values.min()}..{values.max()}")
