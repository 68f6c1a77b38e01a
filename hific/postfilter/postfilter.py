"""Refines a decoded image, tile by tile where a flag says so (hific_xgboost, section 3: the clearer image).

    reconstruction ─ window of each pixel ─┬─ linear filter ─────────────┬─ + ─ rounded ─ added, cut to 0..255
                                           └─ features ─ XGBoost's trees ┘

Windows are always of the unrefined reconstruction, also beyond their tile: tiles do not depend on each other. The same
reconstruction gives the same refined pixels on every machine; a vector of examples tells where XGBoost does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hific.postfilter.features import (
    CORRECTION_BITS,
    MAX_WEIGHT,
    Floats,
    Pixels,
    PostFilterOptions,
    centered,
    features_of,
    linear_correction,
    window_around,
)
from hific.context.context_model import State

if TYPE_CHECKING:
    import xgboost

Flags = NDArray[np.bool_]


class Tile(NamedTuple):
    """Its place in the grid of tiles, and in the image."""

    cell: tuple[int, int]
    rows: slice
    columns: slice


@dataclass(frozen=True)
class PostFilter:
    """Made by `PostFilterFit`. Raises ValueError where the parts do not fit, CheckpointError where XGBoost gives other
    corrections than it gave when fitting.

    weights: int32 [3, num_weights] of the linear filter; model: uint8, the library's own UBJSON, empty for no trees;
    check_features: int32 [r, F]; check_corrections: int32 [r, 3] in 1/1024, what the trees make of them.
    """

    options: PostFilterOptions
    weights: NDArray[np.int32]
    model: NDArray[np.uint8]
    check_features: NDArray[np.int32]
    check_corrections: NDArray[np.int32]
    _booster: xgboost.Booster | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # XGBoost brings pandas: a second at start, for which only files that are refined shall wait.
        from hific.coding.exact_trees import differs, load_booster

        if self.weights.shape != (3, self.options.num_weights) or not (np.abs(self.weights) < MAX_WEIGHT).all():
            raise ValueError(f"postfilter: weights {self.weights.shape} for a window of side {self.options.side}")
        object.__setattr__(self, "_booster", load_booster(self.model) if len(self.model) else None)
        if not np.array_equal(self.tree_corrections(self.check_features), self.check_corrections):
            raise differs()

    def refine(self, pixels: Pixels) -> Pixels:
        """Every tile of a reconstruction, uint8 [H, W, 3]; returns a new one."""
        return self.apply(pixels, np.ones(self.grid(*pixels.shape[:2]), bool))

    def apply(self, reconstruction: Pixels, flags: Flags) -> Pixels:
        """The flagged tiles of a reconstruction, uint8 [H, W, 3], flags bool as `grid` says; returns a new one."""
        refined = reconstruction.copy()
        for tile in self._tiles(reconstruction):
            if flags[tile.cell]:
                refined[tile.rows, tile.columns] = self._refined(reconstruction, tile)
        return refined

    def choose(self, reconstruction: Pixels, original: Pixels) -> Flags:
        """Which tiles come closer to the original, uint8 [H, W, 3] both, by squared error: bool as `grid` says."""
        flags = np.zeros(self.grid(*reconstruction.shape[:2]), bool)
        for tile in self._tiles(reconstruction):
            place = tile.rows, tile.columns
            before = _squared_error(reconstruction[place], original[place])
            flags[tile.cell] = _squared_error(self._refined(reconstruction, tile), original[place]) < before
        return flags

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-height // self.options.tile), -(-width // self.options.tile)

    def tree_corrections(self, features: NDArray[np.integer | np.floating]) -> NDArray[np.int32]:
        """int32 [n, 3] in 1/1024 of features [n, F]."""
        if self._booster is None or not len(features):
            return np.zeros((len(features), 3), np.int32)
        from hific.coding.exact_trees import exact_logits

        return exact_logits(self._booster, features, np.zeros((len(features), 3), np.float32))

    def corrections(self, windows: Pixels, places: NDArray[np.int32]) -> Floats:
        """[N, h, w, 3] in 1/1024, of windows uint8 [N, h + 2r, w + 2r, 3]; places as `features_of` takes them."""
        window = centered(windows)
        linear = linear_correction(window, self.weights, self.options.side)
        if self._booster is None:
            return linear
        return linear + self.tree_corrections(features_of(window, linear, places, self.options)).reshape(linear.shape)

    def _tiles(self, pixels: Pixels) -> Iterator[Tile]:
        height, width = pixels.shape[:2]
        side = self.options.tile
        for row, column in np.ndindex(self.grid(height, width)):
            rows = slice(row * side, min(height, (row + 1) * side))
            yield Tile((row, column), rows, slice(column * side, min(width, (column + 1) * side)))

    def _refined(self, reconstruction: Pixels, tile: Tile) -> Pixels:
        window = window_around(reconstruction, tile.rows, tile.columns, self.options.reach)[None]
        place = np.array([[tile.rows.start, tile.columns.start, *reconstruction.shape[:2]]], np.int32)
        return corrected(reconstruction[tile.rows, tile.columns], self.corrections(window, place)[0])

    def state(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays for a checkpoint."""
        options = self.options
        return {
            "numbers": np.array([options.side, int(options.location), options.tile], np.int32),
            "weights": self.weights,
            "model": self.model,
            "check_features": self.check_features,
            "check_corrections": self.check_corrections,
        }

    @classmethod
    def from_state(cls, state: State) -> PostFilter:
        """Raises KeyError, or ValueError (CheckpointError) where `state` is not what `state()` gave."""
        kinds = {"weights": np.int32, "model": np.uint8, "check_features": np.int32, "check_corrections": np.int32}
        arrays = {name: np.asarray(state[name]) for name in kinds}
        numbers = np.asarray(state["numbers"])
        if any(arrays[name].dtype != kind for name, kind in kinds.items()) or numbers.shape != (3,):
            raise ValueError("postfilter: its arrays are of other types")
        side, location, tile = numbers.tolist()
        return cls(PostFilterOptions(side, bool(location), tile), **arrays)  # type: ignore[arg-type]


def corrected(pixels: Pixels, corrections: Floats) -> Pixels:
    """uint8 pixels and corrections of one shape, in 1/1024: their sum, rounded and cut to 0..255."""
    levels = np.floor(corrections * 2.0**-CORRECTION_BITS + 0.5)
    return np.clip(pixels + levels, 0, 255).astype(np.uint8)


def _squared_error(one: Pixels, other: Pixels) -> int:
    difference = one.astype(np.int64) - other
    return int((difference * difference).sum())
