"""Corrects a decoded image, tile by tile where a flag says so: the source paper's clearer image.

    decoded ─ window of each pixel ─┬─ linear filter ─────────────┬─ + ─ rounded ─ added, cut to 0..255
                                    └─ features ─ XGBoost's trees ┘

Windows are always of the image as it was decoded, also beyond their tile: tiles do not depend on each other. The same
decoded image gives the same filtered pixels on every machine; a vector of examples tells where XGBoost does not.

The encoder knows the original: a tile's flag says that filtered it is closer. Flags are in the coder's stream, a bit
whether any is set, and if so a bit a tile, rows from the top.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hific.coding.range_coder import RangeCoder
from hific.errors import CheckpointError, CorruptedError
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

if TYPE_CHECKING:
    import xgboost

Flags = NDArray[np.bool_]
_TYPES: dict[str, Any] = {
    "weights": np.int32,
    "trees": np.uint8,
    "check_features": np.int32,
    "check_corrections": np.int32,
}


class Tile(NamedTuple):
    """Its place in the grid of tiles, and in the image."""

    cell: tuple[int, int]
    rows: slice
    columns: slice


@dataclass(frozen=True)
class PostFilter:
    """Made by `PostFilterFit`. Raises ValueError where the parts do not fit, CheckpointError where XGBoost gives other
    corrections than it gave when fitting.

    weights: int32 [3, num_weights] of the linear filter; trees: uint8, the library's own UBJSON, empty for no trees;
    check_features: int32 [r, F]; check_corrections: int32 [r, 3] in 1/1024, what the trees make of them.
    """

    options: PostFilterOptions
    weights: NDArray[np.int32]
    trees: NDArray[np.uint8]
    check_features: NDArray[np.int32]
    check_corrections: NDArray[np.int32]
    _booster: xgboost.Booster | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        within = (self.weights > -MAX_WEIGHT) & (self.weights < MAX_WEIGHT)
        if self.weights.shape != (3, self.options.num_weights) or not within.all():
            raise ValueError(f"post-filter: weights {self.weights.shape} for a window of side {self.options.side}")
        object.__setattr__(self, "_booster", self._load_booster() if self.trees.size else None)
        if self._booster is not None:
            from hific.coding.exact_trees import check_examples

            check_examples(self.check_features)
            # One pixel: what does not fit shows here, not in the middle of an image.
            side = self.options.side
            self.corrections(np.zeros((1, side, side, 3), np.uint8), np.array([[0, 0, 1, 1]], np.int32))
        if not np.array_equal(self.tree_corrections(self.check_features), self.check_corrections):
            from hific.coding.exact_trees import differs

            raise differs()

    def apply(self, decoded: Pixels, flags: Flags) -> Pixels:
        """The flagged tiles of a decoded image, uint8 [H, W, 3], flags bool as `grid` says; returns a new one."""
        filtered = decoded.copy()
        for tile in self._tiles(decoded):
            if flags[tile.cell]:
                filtered[tile.rows, tile.columns] = self._filtered(decoded, tile)
        return filtered

    def flags(self, decoded: Pixels, original: Pixels) -> Flags:
        """Which tiles come closer to the original, uint8 [H, W, 3] both, by squared error: bool as `grid` says."""
        flags = np.zeros(self.grid(*decoded.shape[:2]), bool)
        for tile in self._tiles(decoded):
            place = tile.rows, tile.columns
            before = _squared_error(decoded[place], original[place])
            flags[tile.cell] = _squared_error(self._filtered(decoded, tile), original[place]) < before
        return flags

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-height // self.options.tile), -(-width // self.options.tile)

    def tree_corrections(self, features: NDArray[np.integer | np.floating]) -> NDArray[np.int32]:
        """int32 [n, 3] in 1/1024 of features [n, F]."""
        if self._booster is None or not len(features):
            return np.zeros((len(features), 3), np.int32)
        from hific.coding.exact_trees import exact_sums

        return exact_sums(self._booster, features, np.zeros((len(features), 3), np.float32))

    def corrections(self, windows: Pixels, places: NDArray[np.int32]) -> Floats:
        """[N, h, w, 3] in 1/1024, of windows uint8 [N, h + 2r, w + 2r, 3]; places as `features_of` takes them."""
        window = centered(windows)
        linear = linear_correction(window, self.weights, self.options.side)
        if self._booster is None:
            return linear
        return linear + self.tree_corrections(features_of(window, linear, places, self.options)).reshape(linear.shape)

    def _load_booster(self) -> xgboost.Booster:
        # XGBoost brings pandas: a second at start, for which only files that trees correct shall wait.
        from hific.coding.exact_trees import load_booster

        return load_booster(self.trees)

    def _tiles(self, pixels: Pixels) -> Iterator[Tile]:
        height, width = pixels.shape[:2]
        side = self.options.tile
        for row, column in np.ndindex(self.grid(height, width)):
            rows = slice(row * side, min(height, (row + 1) * side))
            yield Tile((row, column), rows, slice(column * side, min(width, (column + 1) * side)))

    def _filtered(self, decoded: Pixels, tile: Tile) -> Pixels:
        window = window_around(decoded, tile.rows, tile.columns, self.options.reach)[None]
        place = np.array([[tile.rows.start, tile.columns.start, *decoded.shape[:2]]], np.int32)
        return corrected(decoded[tile.rows, tile.columns], self.corrections(window, place)[0])

    def description(self) -> dict[str, int | bool]:
        """Plain values for a checkpoint."""
        return asdict(self.options)

    def arrays(self) -> dict[str, NDArray[np.integer]]:
        """Plain arrays for a checkpoint."""
        return {name: getattr(self, name) for name in _TYPES}

    @classmethod
    def from_parts(cls, description: Mapping[str, Any], arrays: Mapping[str, NDArray[np.integer]]) -> PostFilter:
        """Of what `description()` and `arrays()` gave; ValueError (CheckpointError too) or KeyError for all else."""
        plain = {name: description[name] for name in asdict(PostFilterOptions())}
        found = {name: np.asarray(arrays[name]) for name in _TYPES}
        if any(found[name].dtype != kind for name, kind in _TYPES.items()):
            raise CheckpointError("post-filter: its arrays in the checkpoint are of other types")
        if any(type(plain[name]) is not type(default) for name, default in asdict(PostFilterOptions()).items()):
            raise CheckpointError("post-filter: its options in the checkpoint are of other types")
        return cls(PostFilterOptions(**plain), **found)


def code_flags(coder: RangeCoder, flags: Flags) -> Flags:
    """Codes flags bool [rows, columns], either way; returns them. A decoder takes only their shape, and raises
    CorruptedError for what no encoder writes.
    """
    [some] = coder.code_bits(np.array([flags.any()], np.int32)).tolist()
    if not some:
        return np.zeros(flags.shape, bool)
    coded = coder.code_bits(flags.ravel().astype(np.int32)).astype(bool).reshape(flags.shape)
    if not coded.any():
        raise CorruptedError("the coded stream holds tile flags that no encoder writes")
    return coded


def corrected(pixels: Pixels, corrections: Floats) -> Pixels:
    """uint8 pixels and corrections of one shape, in 1/1024: their sum, rounded and cut to 0..255."""
    levels = np.floor(corrections * 2.0**-CORRECTION_BITS + 0.5)
    return np.clip(pixels + levels, 0, 255).astype(np.uint8)


def _squared_error(one: Pixels, other: Pixels) -> int:
    difference = one.astype(np.int64) - other
    return int((difference * difference).sum())
