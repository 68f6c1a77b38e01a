"""HiFiC's integers to bytes: hyper-symbols by a table per channel, symbols by the table that the hyper-symbols say.

    encode   hyper_symbols ────────────┬──────────────────────────── hyper_tables ──┐
             [N, hz, wz]               └ integer syntheses ┬ table_ids              │
                                                           └ means                  ├─ one stream
             latent [C, h, w] ── minus means ── rint ── symbols ── latent_tables ───┘
                                                           [C, h, w]
    decode   the stream ── hyper_tables ── hyper_symbols ── integer syntheses ── table_ids, means
                        └─ latent_tables by the table_ids ── symbols          (latent_hat = symbols + means)

The stream holds the hyper-symbols (channel by channel, rows from the top, then those that their tables have no entry
for) and then the symbols: in the coding `hyperprior` by rising table id, within one in the order [C, h, w], then those
without an entry; in the coding `neighbor` as `NeighborModel` has them, which predicts them from one another. Tables,
integer syntheses and predictors are made once, from a trained model, and live in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hific.codecs.self_check import SelfCheckError
from hific.coding.checked_encoder import CheckedEncoder
from hific.coding.range_coder import RangeCoder, RangeDecoder
from hific.coding.symbol_tables import SymbolTables
from hific.context.neighbor_model import NeighborModel
from hific.context.refinement import Refinement
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT, IntegerHyperSynthesis
from hific.entropy.quantize_hyper_synthesis import quantize_hyper_synthesis
from hific.entropy.tables import hyper_tables, latent_tables, scale_thresholds
from hific.errors import CorruptedError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Coding = Literal["hyperprior", "neighbor"]

# Symbols of larger absolute value than this have no exact float32, and their latents no meaning.
SYMBOL_LIMIT = 1 << 24

_PARTS = ("mean_synthesis", "scale_synthesis", "hyper_tables", "latent_tables")
_NEIGHBOR, _REFINEMENT = "neighbor.", "refinement."


class Prediction(NamedTuple):
    """What the hyper-symbols say of the latent, both [C, h, w]."""

    means: Floats
    table_ids: Ints


class DecodedLatent(NamedTuple):
    """int32 [N, hz, wz], int32 [C, h, w] and float32 [C, h, w]."""

    hyper_symbols: Ints
    symbols: Ints
    means: Floats

    @property
    def latent_hat(self) -> Floats:
        """float32 [C, h, w], what the synthesis takes."""
        # Converted before: numpy adds int32 and float32 as float64.
        return self.symbols.astype(np.float32) + self.means


@dataclass(frozen=True)
class HyperpriorCoding:
    """The integer side of one trained model. thresholds: int64 [T - 1], rising: a latent's table id is the number of
    them that the scale synthesis's sum reaches; hyper_tables: N; latent_tables: T; neighbor: what the coding of that
    name predicts symbols by, or none; refinement: of decoded images, or none. Raises ValueError where the parts do not
    fit one another.
    """

    mean_synthesis: IntegerHyperSynthesis
    scale_synthesis: IntegerHyperSynthesis
    thresholds: NDArray[np.int64]
    hyper_tables: SymbolTables
    latent_tables: SymbolTables
    neighbor: NeighborModel | None = None
    refinement: Refinement | None = None

    def __post_init__(self) -> None:
        channels = [(part.hyper_channels, part.latent_channels) for part in (self.mean_synthesis, self.scale_synthesis)]
        if channels[0] != channels[1] or len(self.hyper_tables) != channels[0][0]:
            raise ValueError("hyperprior coding: syntheses and hyper-latent tables are for different models")
        if self.thresholds.dtype != np.int64 or self.thresholds.shape != (len(self.latent_tables) - 1,):
            raise ValueError("hyperprior coding: int64 thresholds are due, one less than latent tables")
        # Compared, not subtracted: nonsense from a damaged state must not wrap around.
        if (self.thresholds[1:] < self.thresholds[:-1]).any():
            raise ValueError("hyperprior coding: the thresholds do not rise")
        if self.neighbor is not None and self.neighbor.options.num_channels != channels[0][1]:
            raise ValueError("hyperprior coding: the neighbor predictor is for a latent of other channels")

    @classmethod
    def from_model(cls, model: HyperpriorAutoencoder) -> HyperpriorCoding:
        """Raises ValueError where the model's hyperprior is not finite."""
        scale_synthesis = _quantized(model.scale_synthesis)
        return cls(
            _quantized(model.mean_synthesis),
            scale_synthesis,
            scale_synthesis.fixed_point(scale_thresholds()),
            hyper_tables(model.prior),
            latent_tables(),
        )

    @property
    def codings(self) -> tuple[Coding, ...]:
        return ("hyperprior",) if self.neighbor is None else ("hyperprior", "neighbor")

    def check_fits(self, latent_channels: int, hyper_channels: int) -> None:
        """Raises ValueError where this is for a model of other channels."""
        own = self.mean_synthesis.latent_channels, self.mean_synthesis.hyper_channels
        if own != (latent_channels, hyper_channels):
            raise ValueError(f"hyperprior coding of {own} channels, the model has {(latent_channels, hyper_channels)}")

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays of integers for a checkpoint."""
        state: dict[str, NDArray[np.integer]] = {"thresholds": self.thresholds}
        for part in _PARTS:
            state |= {f"{part}.{name}": array for name, array in getattr(self, part).state().items()}
        if self.neighbor is not None:
            state |= {_NEIGHBOR + name: array for name, array in self.neighbor.state().items()}
        if self.refinement is not None:
            state |= {_REFINEMENT + name: array for name, array in self.refinement.state().items()}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.integer]]) -> HyperpriorCoding:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        means, scales, hyper, latent, neighbor, refinement = (
            {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            for prefix in (*(f"{part}." for part in _PARTS), _NEIGHBOR, _REFINEMENT)
        )
        return cls(
            IntegerHyperSynthesis.from_state(means),
            IntegerHyperSynthesis.from_state(scales),
            np.asarray(state["thresholds"]),
            SymbolTables.from_state(hyper),
            SymbolTables.from_state(latent),
            NeighborModel.from_state(neighbor) if neighbor else None,
            Refinement.from_state(refinement) if refinement else None,
        )

    def predict(self, hyper_symbols: Ints, height: int, width: int) -> Prediction:
        """Of hyper-symbols int32 [N, hz, wz]; the latent is of `height` x `width`. The same bits on every machine."""
        return Prediction(
            self.mean_synthesis.means(hyper_symbols, height, width),
            self.scale_synthesis.table_ids(hyper_symbols, height, width, self.thresholds),
        )

    def encode(
        self, hyper_symbols: Ints, latent: Floats, coding: Coding = "hyperprior", *, self_check: bool = True
    ) -> tuple[bytes, Ints]:
        """(stream, symbols int32 [C, h, w]) of hyper-symbols int32 [N, ceil(h / 4), ceil(w / 4)], see
        `clip_hyper_symbols`, and a latent float32 [C, h, w]. Raises ValueError for any others, and for what is not
        finite.

        `self_check` decodes the stream and compares: SelfCheckError where it differs. It takes the encoder's own
        predictions; that a decoder's are the same is proved, not tried (`IntegerConvolution`, `XGBoostPredictor`).
        """
        self._check_input(hyper_symbols, latent)
        prediction = self.predict(hyper_symbols, *latent.shape[1:])
        symbols = rounded(latent, prediction.means)
        encoder = CheckedEncoder()
        coded = self._code(encoder, coding, hyper_symbols, symbols, lambda _: prediction)
        if self_check:
            same = np.array_equal(coded.hyper_symbols, hyper_symbols) and np.array_equal(coded.symbols, symbols)
            if not (same and encoder.decodes()):
                raise SelfCheckError("the symbols do not decode to what was encoded: please report it")
        return encoder.get_bytes(), symbols

    def decode(self, stream: bytes, height: int, width: int, coding: Coding = "hyperprior") -> DecodedLatent:
        """What `encode` wrote for a latent of `height` x `width`; a BitstreamError for what it does not write."""
        if coding not in self.codings:
            raise CorruptedError(f"the file is in the coding {coding!r}, of which the model that made it knows nothing")

        def predict(hyper_symbols: Ints) -> Prediction:
            if _largest(hyper_symbols) > HYPER_LIMIT:
                raise CorruptedError("the coded stream holds a hyper-symbol that no encoder writes")
            return self.predict(hyper_symbols, height, width)

        decoder = RangeDecoder(stream)
        decoded = self._code(decoder, coding, *self._blank(height, width), predict)
        if _largest(decoded.symbols) > SYMBOL_LIMIT:
            raise CorruptedError("the coded stream holds a symbol that no encoder writes")
        decoder.finish()
        return decoded

    def _code(
        self,
        coder: RangeCoder,
        coding: Coding,
        hyper_symbols: Ints,
        symbols: Ints,
        predict: Callable[[Ints], Prediction],
    ) -> DecodedLatent:
        """The traversal of both directions."""
        channels = np.arange(len(hyper_symbols), dtype=np.int32)
        hyper_ids = np.repeat(channels, hyper_symbols[0].size)
        coded = self.hyper_tables.code(coder, hyper_symbols.ravel(), hyper_ids).reshape(hyper_symbols.shape)
        prediction = predict(coded)
        if coding == "neighbor":
            if self.neighbor is None:
                raise ValueError("this model has no neighbor predictor: its coding is hyperprior")
            coded_symbols = self.neighbor.code(coder, symbols, prediction.table_ids, self.latent_tables)
        else:
            coded_symbols = self.latent_tables.code(coder, symbols.ravel(), prediction.table_ids.ravel())
        return DecodedLatent(coded, coded_symbols.reshape(symbols.shape), prediction.means)

    def _blank(self, height: int, width: int) -> tuple[Ints, Ints]:
        """Hyper-symbols and symbols of a latent, all 0."""
        hyper_shape = (self.mean_synthesis.hyper_channels, -(-height // 4), -(-width // 4))
        shape = (self.mean_synthesis.latent_channels, height, width)
        return np.zeros(hyper_shape, np.int32), np.zeros(shape, np.int32)

    def _check_input(self, hyper_symbols: Ints, latent: Floats) -> None:
        if latent.ndim != 3 or latent.dtype != np.float32 or 0 in latent.shape:
            raise ValueError(f"a latent is float32 [C, h, w], not {latent.dtype} {latent.shape}")
        blanks = self._blank(*latent.shape[1:])
        if (hyper_symbols.shape, latent.shape) != (blanks[0].shape, blanks[1].shape):
            raise ValueError(f"hyper-symbols {hyper_symbols.shape} and latent {latent.shape}: not of this model")
        if hyper_symbols.dtype != np.int32 or _largest(hyper_symbols) > HYPER_LIMIT:
            raise ValueError(f"hyper-symbols are int32 of -{HYPER_LIMIT}..{HYPER_LIMIT}: see clip_hyper_symbols")


def clip_hyper_symbols(hyper_latent: Floats) -> Ints:
    """The integers nearest to a hyper-latent, int32, cut to -HYPER_LIMIT..HYPER_LIMIT. ValueError where not finite."""
    if not np.isfinite(hyper_latent).all():
        raise ValueError("the hyper-latent is not finite: the model has diverged, or the precision is too low for it")
    return np.clip(np.rint(hyper_latent), -HYPER_LIMIT, HYPER_LIMIT).astype(np.int32)


def rounded(latent: Floats, means: Floats) -> Ints:
    """The integers nearest to latent - means."""
    rounded = np.rint(latent - means)
    # Also where the latent is not a number.
    if not (np.abs(rounded) <= SYMBOL_LIMIT).all():
        raise ValueError(f"the latent has values that are not finite or exceed {SYMBOL_LIMIT}: the model has diverged")
    return rounded.astype(np.int32)


def _largest(values: Ints) -> int:
    """The largest absolute value; that of -2**31 too."""
    return max(int(values.max(initial=0)), -int(values.min(initial=0)))


def _quantized(synthesis: Any) -> IntegerHyperSynthesis:
    """Of a `HyperSynthesis`, a class that this package need not know."""
    up1, up2, head = ((layer.weight, layer.bias) for layer in (synthesis.up1, synthesis.up2, synthesis.head))
    return quantize_hyper_synthesis(up1, up2, head, synthesis.activation_range)
