"""XGBoost's trees as a checkpoint keeps them, read without the library: what it would follow blindly is checked first.

The library trusts its own files: a child or a feature out of range makes it read beyond its arrays, a cycle never ends.
UBJSON, big endian: objects `{` key value .. `}`, a key and a string `S` having their length before them; numbers by
type; arrays `[#` of values or `[$` of one type, with their count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of what a checkpoint may ask for; ours have some hundreds at most.
MOST_TREES, MOST_BYTES = 1 << 12, 1 << 26
_MOST_NESTED = 12
_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}
_CHILDREN = ("left_children", "right_children", "parents")
# [nodes] each; those with a vector a node where leaves have vectors.
_INTEGERS, _FLOATS = ("split_indices", "default_left", "split_type"), ("split_conditions", "loss_changes")
_CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_OBJECTIVES = ("multi:softprob", "reg:squarederror")


class TreeShape(NamedTuple):
    """num_features: columns that the trees look at; num_outputs: numbers that they give of a row."""

    num_features: int
    num_outputs: int
    num_trees: int


def check_trees(trees: NDArray[np.uint8]) -> TreeShape:
    """What trees, UBJSON or JSON, need and give. Raises ValueError where following them could leave their arrays, never
    end, or give what is no number."""
    if trees.dtype != np.uint8 or trees.ndim != 1 or trees.size > MOST_BYTES:
        raise ValueError(f"trees are bytes in a row, not {trees.dtype} {trees.shape}")
    data = trees.tobytes()
    try:
        # The library takes either form, and tells them apart so.
        document = _read_json(data) if data[:2] == b'{"' else read_ubjson(data)
        return _check_learner(document["learner"])
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not what the library writes: {type(error).__name__} {error}") from error


def _read_json(data: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name twice")
        return dict(pairs)

    return json.loads(data, object_pairs_hook=once)


def read_ubjson(data: bytes) -> dict[str, Any]:
    """An object with all that is in it; arrays of one type as numpy's. Raises ValueError for what is none."""
    reader = _Reader(data)
    document = reader.value(0)
    if not isinstance(document, dict) or reader.position != len(data):
        raise ValueError("not one object")
    return document


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.position = data, 0

    def value(self, depth: int, kind: bytes | None = None) -> Any:
        kind = self._take(1) if kind is None else kind
        if depth > _MOST_NESTED:
            raise ValueError("nested too deep")
        if kind == b"{":
            return self._object(depth)
        if kind == b"[":
            return self._array(depth)
        if kind == b"S":
            return self._text()
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        return self._numbers(kind, 1)[0].item()

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._data[self.position : self.position + 1] != b"}":
            name = self._text()
            if name in found:
                raise ValueError(f"{name} twice")
            found[name] = self.value(depth + 1)
        self.position += 1
        return found

    def _array(self, depth: int) -> Any:
        mark = self._take(1)
        kind = self._take(1) if mark == b"$" else None
        if (self._take(1) if mark == b"$" else mark) != b"#":
            raise ValueError("an array without a count")
        count = self._count()
        if kind is not None:
            return self._numbers(kind, count)
        # Each value takes a byte or more.
        if count > len(self._data) - self.position:
            raise ValueError("an array longer than the file")
        return [self.value(depth + 1) for _ in range(count)]

    def _text(self) -> str:
        return self._take(self._count()).decode()

    def _count(self) -> int:
        kind = self._take(1)
        if kind not in (b"i", b"U", b"I", b"l", b"L"):
            raise ValueError("a length is a whole number")
        return int(self._numbers(kind, 1)[0])

    def _numbers(self, kind: bytes, count: int) -> NDArray[Any]:
        if kind not in _NUMBERS:
            raise ValueError(f"unknown type {kind!r}")
        return np.frombuffer(self._take(np.dtype(_NUMBERS[kind]).itemsize * count), _NUMBERS[kind])

    def _take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if count < 0 or self.position > len(self._data):
            raise ValueError("cut short")
        return self._data[start : self.position]


def _check_learner(learner: Mapping[str, Any]) -> TreeShape:
    booster, parameters, objective = (
        learner[name] for name in ("gradient_booster", "learner_model_param", "objective")
    )
    if booster["name"] != "gbtree" or objective["name"] not in _OBJECTIVES:
        raise ValueError(f"{booster['name']!r} for {objective['name']!r}")
    model = booster["model"]
    num_features = _whole(parameters["num_feature"])
    num_outputs = max(1, _whole(parameters["num_class"]), _whole(parameters["num_target"]))
    trees, groups, bounds = (model[name] for name in ("trees", "tree_info", "iteration_indptr"))
    if not len(trees) == len(groups) == _whole(model["gbtree_model_param"]["num_trees"]) <= MOST_TREES:
        raise ValueError(f"{len(trees)} trees")
    if not 1 <= _whole(model["gbtree_model_param"]["num_parallel_tree"]) <= max(1, len(trees)):
        raise ValueError("number of parallel trees")
    inner = [_whole(one["num_class"]) for one in objective.values() if isinstance(one, dict) and "num_class" in one]
    if any(one != num_outputs for one in inner) or not all(0 <= _number(one) < num_outputs for one in groups):
        raise ValueError("numbers of classes")
    rounds = [_number(one) for one in bounds]
    if rounds[0] != 0 or rounds[-1] != len(trees) or sorted(rounds) != rounds:
        raise ValueError("rounds that are not in order")
    for tree in trees:
        _check_tree(tree, num_features, num_outputs)
    return TreeShape(num_features, num_outputs, len(trees))


def _check_tree(tree: Mapping[str, Any], num_features: int, num_outputs: int) -> None:
    """Each node reached from the first has its children behind it, and features, leaves and sizes are as they say."""
    parameters = tree["tree_param"]
    nodes, width = _whole(parameters["num_nodes"]), _whole(parameters["size_leaf_vector"])
    if nodes < 1 or width not in (0, 1, num_outputs) or _whole(parameters["num_feature"]) != num_features:
        raise ValueError("a tree of other sizes")
    left, right, parents = (_row(tree, name, ">i4", nodes) for name in _CHILDREN)
    features, _, types = (_row(tree, name, None, nodes) for name in _INTEGERS)
    conditions, _ = (_row(tree, name, ">f4", nodes) for name in _FLOATS)
    if types.any() or any(len(tree[name]) for name in _CATEGORIES):
        raise ValueError("splits by category")
    vectors = width > 1
    _row(tree, "sum_hessian", ">f4", nodes)
    _row(tree, "base_weights", ">f4", nodes * width if vectors else nodes)
    reached, leaves, at, following, split_by = [0], [], left.tolist(), right.tolist(), features.tolist()
    for node in reached:
        if at[node] == -1:
            leaves.append(node)
            continue
        children = at[node], following[node]
        # Behind their parent, and of one parent: no way leads back, and none leads twice to a node.
        if not all(node < child < nodes and parents[child] == node for child in children):
            raise ValueError("a child that is no node behind its parent")
        if children[0] == children[1] or not 0 <= split_by[node] < num_features:
            raise ValueError("a split of no feature")
        reached += children
    values = conditions[leaves]
    if vectors:
        weights = tree["leaf_weights"]
        values = _row(tree, "leaf_weights", ">f4", len(weights) // width * width)
        if not all(0 <= following[leaf] < len(weights) // width for leaf in leaves):
            raise ValueError("a leaf without values")
    if not np.isfinite(values).all():
        raise ValueError("leaves that are not finite")


def _row(tree: Mapping[str, Any], name: str, kind: str | None, count: int) -> NDArray[Any]:
    """One number a node; of type `kind`, or whole numbers of any size."""
    row = tree[name]
    if isinstance(row, list):  # JSON's
        if not {type(one) for one in row} <= ({int, float} if kind == ">f4" else {int}):
            raise ValueError(f"{name} of another type")
        row = np.array(row, kind or ">i8")
    if not isinstance(row, np.ndarray) or (row.dtype.kind not in "iu" if kind is None else row.dtype != np.dtype(kind)):
        raise ValueError(f"{name} of another type")
    if row.shape != (count,):
        raise ValueError(f"{name}: {row.shape} of {count}")
    return row


def _whole(text: Any) -> int:
    """The library keeps numbers as text."""
    if not isinstance(text, str) or not text.isdecimal() or len(text) > 9:
        raise ValueError(f"{str(text)[:20]!r} is no whole number")
    return int(text)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError("a number that is not whole")
    return int(value)
