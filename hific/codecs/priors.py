"""The priors: of a latent of few levels, a table per channel; of one with a hyper-latent, integer syntheses.

    hyper-symbols [N, hz, wz] ─┬─ by a table per channel ─ the stream
                               ├─ integer mean synthesis ── means [C, h, w]
                               └─ integer scale synthesis ─ thresholds ─ table_ids [C, h, w]

Tables and integer syntheses are made once, from a trained model, and live in its checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hific.codecs.base import Floats
from hific.coding.range_coder import Ints, RangeCoder
from hific.coding.symbol_tables import SymbolTables
from hific.entropy.integer_hyper_synthesis import HYPER_LIMIT, IntegerHyperSynthesis, quantize_hyper_synthesis
from hific.entropy.tables import hyper_tables, latent_tables, scale_thresholds
from hific.errors import CorruptedError
from hific.latent_coders.base import Prediction, part_of
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.networks.hific import HyperSynthesis


@dataclass(frozen=True)
class ChannelPrior:
    """A `Prior`: symbol s of channel c is a level less the middle one, coded by table c. ValueError for tables that
    are not all of the same, odd number of levels around 0."""

    tables: SymbolTables

    def __post_init__(self) -> None:
        levels = int(self.tables.sizes[0])
        if levels % 2 == 0 or (self.tables.sizes != levels).any() or (self.tables.offsets != -(levels // 2)).any():
            raise ValueError("channel prior: the tables are not of one odd number of levels around 0")

    @classmethod
    def from_counts(cls, counts: NDArray[np.int64]) -> ChannelPrior:
        """counts int64 [C, levels]: how often each level occurred in each channel."""
        return cls(SymbolTables.from_counts(counts, -(counts.shape[1] // 2)))

    @property
    def latent_channels(self) -> int:
        return len(self.tables)

    @property
    def num_levels(self) -> int:
        return int(self.tables.sizes[0])

    @property
    def lowest_symbol(self) -> int:
        return -(self.num_levels // 2)

    @property
    def highest_symbol(self) -> int:
        return self.num_levels // 2

    def least_hyper_bits(self, shape: Sequence[int]) -> float:
        return 0.0

    def code_hyper_symbols(self, coder: RangeCoder, hyper_symbols: Ints) -> Ints:
        if hyper_symbols.size:
            raise ValueError(f"hyper-symbols {hyper_symbols.shape}, and there are none of this model")
        return hyper_symbols

    def predict(self, hyper_symbols: Ints, height: int, width: int) -> Prediction:
        shape = (self.latent_channels, height, width)
        return Prediction(table_ids=channel_ids(shape), means=np.zeros(shape, np.float32))

    def state(self) -> dict[str, NDArray[np.integer]]:
        return dict(self.tables.state())

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.integer]]) -> ChannelPrior:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        return cls(SymbolTables.from_state(state))


def channel_ids(shape: tuple[int, int, int]) -> Ints:
    """Each symbol's channel, int32 [C, h, w]."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.int32)[:, None, None], shape)


# Symbols of larger absolute value than this have no exact float32, and their latents no meaning.
SYMBOL_LIMIT = 1 << 24
_PARTS = ("mean_synthesis", "scale_synthesis", "hyper_tables", "latent_tables")


@dataclass(frozen=True)
class HyperPrior:
    """A `Prior`. thresholds: int64 [T - 1], rising: a latent's table id is the number of them that the scale
    synthesis's sum reaches; hyper_tables: N; tables: T. Raises ValueError where the parts do not fit one another.
    """

    mean_synthesis: IntegerHyperSynthesis
    scale_synthesis: IntegerHyperSynthesis
    thresholds: NDArray[np.int64]
    hyper_tables: SymbolTables
    latent_tables: SymbolTables

    lowest_symbol, highest_symbol, num_levels = -SYMBOL_LIMIT, SYMBOL_LIMIT, None

    def __post_init__(self) -> None:
        channels = [(part.hyper_channels, part.latent_channels) for part in (self.mean_synthesis, self.scale_synthesis)]
        if channels[0] != channels[1] or len(self.hyper_tables) != channels[0][0]:
            raise ValueError("hyper-prior: syntheses and hyper-latent tables are for different models")
        if self.thresholds.dtype != np.int64 or self.thresholds.shape != (len(self.latent_tables) - 1,):
            raise ValueError("hyper-prior: int64 thresholds are due, one less than latent tables")
        # Compared, not subtracted: nonsense from a damaged state must not wrap around.
        if (self.thresholds[1:] < self.thresholds[:-1]).any():
            raise ValueError("hyper-prior: the thresholds do not rise")

    @classmethod
    def from_model(cls, model: HyperpriorAutoencoder) -> HyperPrior:
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
    def latent_channels(self) -> int:
        return self.mean_synthesis.latent_channels

    @property
    def hyper_channels(self) -> int:
        return self.mean_synthesis.hyper_channels

    @property
    def tables(self) -> SymbolTables:
        return self.latent_tables

    def least_hyper_bits(self, shape: Sequence[int]) -> float:
        return float(self.hyper_tables.least_bits.sum()) * shape[1] * shape[2]

    def code_hyper_symbols(self, coder: RangeCoder, hyper_symbols: Ints) -> Ints:
        """int32 [N, hz, wz], channel by channel. ValueError unless they are as of `clip_hyper_symbols`."""
        if hyper_symbols.dtype != np.int32 or hyper_symbols.ndim != 3 or len(hyper_symbols) != self.hyper_channels:
            raise ValueError(f"hyper-symbols {hyper_symbols.dtype} {hyper_symbols.shape} are not of this model")
        if not _are_coded(hyper_symbols):
            raise ValueError("hyper-symbols beyond the limit: make them with clip_hyper_symbols")
        table_ids = np.repeat(np.arange(len(hyper_symbols), dtype=np.int32), hyper_symbols[0].size)
        coded = self.hyper_tables.code(coder, hyper_symbols.ravel(), table_ids).reshape(hyper_symbols.shape)
        if not _are_coded(coded):
            raise CorruptedError("the coded stream holds a hyper-symbol that no encoder writes")
        return coded

    def predict(self, hyper_symbols: Ints, height: int, width: int) -> Prediction:
        return Prediction(
            table_ids=self.scale_synthesis.table_ids(hyper_symbols, height, width, self.thresholds),
            means=self.mean_synthesis.means(hyper_symbols, height, width),
        )

    def state(self) -> dict[str, NDArray[np.integer]]:
        state: dict[str, NDArray[np.integer]] = {"thresholds": self.thresholds}
        for part in _PARTS:
            state |= {f"{part}.{name}": array for name, array in getattr(self, part).state().items()}
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.integer]]) -> HyperPrior:
        """Raises ValueError or KeyError where `state` is not what `state()` gave."""
        means, scales, hyper, latent = (part_of(state, f"{part}.") for part in _PARTS)
        return cls(
            IntegerHyperSynthesis.from_state(means),
            IntegerHyperSynthesis.from_state(scales),
            np.asarray(state["thresholds"]),
            SymbolTables.from_state(hyper),
            SymbolTables.from_state(latent),
        )


def _are_coded(hyper_symbols: Ints) -> bool:
    # -(-2**31) is no int32.
    return int(hyper_symbols.min()) >= -HYPER_LIMIT and int(hyper_symbols.max()) <= HYPER_LIMIT


def clip_hyper_symbols(hyper_latent: Floats) -> Ints:
    """The integers nearest to a hyper-latent, int32, cut to -HYPER_LIMIT..HYPER_LIMIT. ValueError where not finite."""
    if not np.isfinite(hyper_latent).all():
        raise ValueError("the hyper-latent is not finite: the model has diverged, or the precision is too low for it")
    return np.clip(np.rint(hyper_latent), -HYPER_LIMIT, HYPER_LIMIT).astype(np.int32)


def _quantized(synthesis: HyperSynthesis) -> IntegerHyperSynthesis:
    up1, up2, head = (_parameters(layer) for layer in (synthesis.up1, synthesis.up2, synthesis.head))
    return quantize_hyper_synthesis(up1, up2, head, synthesis.activation_range)


def _parameters(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    assert layer.bias is not None
    return layer.weight, layer.bias
