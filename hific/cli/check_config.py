"""Every value of a composed configuration against the signature of what it is passed to, before anything is made.

A configuration node with `_target_` is a call. Its keys must be parameters of what is called, and its plain values of
the types that are annotated there: so an option is declared once, where it is used, and a wrong one is told by the name
under which the user set it (`recipe.steps`, where `model.steps` is taken from it).
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf

from hific.errors import OptionError

HYDRAS_OWN = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
REFERENCE = re.compile(r"\$\{(\w[\w.]*)\}")
NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    type(None): "null",
}


def check_config(config: DictConfig, options: type) -> None:
    """Raises OptionError for the first value that cannot be right. options: a class whose annotations are those of the
    top level's plain values."""
    hints = get_type_hints(options)
    for name, hint in hints.items():
        _check_value(name, config[name], hint)
    for key in map(str, config):
        if key not in hints and key != "hydra":
            _check_node(key, config[key])


def _check_node(name: str, node: Any) -> None:
    """What is called in a node, and in all below it."""
    if isinstance(node, DictConfig):
        if "_target_" in node:
            _check_call(name, node)
        for key in node:
            if not OmegaConf.is_missing(node, key):
                _check_node(_name_of(node, name, str(key)), node[key])
    elif isinstance(node, ListConfig):
        for index in range(len(node)):
            _check_node(f"{name}[{index}]", node[index])


def _check_call(name: str, node: DictConfig) -> None:
    called = get_object(node["_target_"])
    parameters = inspect.signature(called).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    hints = _hints(called)
    for key in map(str, node):
        if key in HYDRAS_OWN or OmegaConf.is_missing(node, key):
            continue
        if key not in parameters and not takes_all:
            raise OptionError(f"{name}.{key}: no such option; there are {', '.join(one for one in parameters)}")
        if key in hints:
            _check_value(_name_of(node, name, key), node[key], hints[key])


def _hints(called: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters; none where they cannot be resolved."""
    try:
        return get_type_hints(called.__init__ if inspect.isclass(called) else called)
    except (NameError, TypeError, AttributeError):
        return {}


def _name_of(node: DictConfig, name: str, key: str) -> str:
    """What a user sets to change it: itself, or what it is taken from in the end."""
    option, child = f"{name}.{key}", node._get_node(key)
    while child is not None and not isinstance(child, list):
        raw = child._value()
        reference = REFERENCE.fullmatch(raw) if isinstance(raw, str) else None
        if reference is None:
            break
        option = reference[1]
        *parents, last = option.split(".")
        parent = OmegaConf.select(node._get_root(), ".".join(parents)) if parents else node._get_root()
        child = parent._get_node(last) if isinstance(parent, DictConfig) else None
    return option


def _check_value(name: str, value: Any, hint: Any) -> None:
    plain = OmegaConf.to_container(value, resolve=True) if isinstance(value, (DictConfig, ListConfig)) else value
    if not fits(plain, hint):
        said = "null" if plain is None else str(plain).lower() if isinstance(plain, bool) else plain
        raise OptionError(f"{name}={said} is not {' or '.join(_described(hint))}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value (null, true, number, text, list, mapping) may be passed where `hint` is annotated."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in args)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in args)
    if hint in (None, type(None)):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    if hint in (str, Path):
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    container = origin or hint
    if container is Iterable or (inspect.isclass(container) and issubclass(container, (Sequence, list, tuple))):
        return isinstance(value, list) and all(fits(one, args[0]) for one in value if args)
    if inspect.isclass(container) and issubclass(container, Mapping):
        return isinstance(value, dict)
    if hint is Any or hint is object or isinstance(hint, TypeVar) or not (inspect.isclass(hint) or origin):
        return True
    return isinstance(value, dict)  # which is made into an object


def _described(hint: Any) -> Iterator[str]:
    """The choices, for a message."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        yield from dict.fromkeys(text for one in args for text in _described(one))
    elif origin is Literal:
        yield from (str(one) for one in args)
    elif hint in NAMES:
        yield NAMES[hint]
    elif inspect.isclass(origin or hint) and issubclass(origin or hint, (Sequence, list, tuple)):
        yield "a list [A,B]"
    else:
        yield "a mapping with a _target_"
