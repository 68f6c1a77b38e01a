"""What train.py's options must be, asked when they are composed and before anything is made.

Every value of the composed configuration is held against the signature of what it is passed to. A configuration node
with `_target_` is a call. Its keys must be parameters of what is called, and its plain values of the types that are
annotated there: so an option is declared once, where it is used, and a wrong one is told by the name under which the
user set it (`recipe.steps`, where `model.steps` is taken from it).
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf

from hific.cli.hydra_app import with_overrides
from hific.errors import CheckpointError, DataNotFoundError, OptionError

STEPS = ("steps", "stage1_steps", "stage2_steps")
# Of what is told by another name, or late, where it is used.
LEAST = {"steps": 1, "stage1_steps": 0, "stage2_steps": 0, "batch_size": 1}
# In a source that is made of several: ${....root.clic}
NAMED_ROOT = re.compile(r"\$\{\.+root\.(\w+)\}")


@dataclass(frozen=True)
class TrainOptions:
    """The plain values at the top of conf/train.yaml."""

    seed: int
    resume: Literal["auto"] | None
    ckpt_path: str | None
    init_from: str | None
    base_checkpoint: str | None
    test: bool
    output_dir: str


def check_options(config: DictConfig) -> None:
    """Raises OptionError or DataNotFoundError for options that cannot work, before anything slow."""
    check_roots(config)
    check_config(config, TrainOptions)
    if not 0 <= config.seed < 1 << 32:
        raise OptionError(f"seed={config.seed} must be in 0..{(1 << 32) - 1}")
    for name, least in LEAST.items():
        if (value := config.recipe.get(name)) is not None and value < least:
            raise OptionError(f"recipe.{name}={value} must be {least} or more")
    if config.trainer.max_steps != -1:
        steps = " and ".join(f"recipe.{key}" for key in STEPS if key in config.recipe)
        raise OptionError(f"trainer.max_steps={config.trainer.max_steps}: how long this model trains is {steps}")
    if config.resume is not None and config.ckpt_path is not None:
        raise OptionError("ckpt_path and resume exclude each other: one beginning")
    beginnings = [name for name in ("ckpt_path", "init_from", "base_checkpoint") if config[name] is not None]
    if len(beginnings) > 1:
        raise OptionError(f"{' and '.join(beginnings)} exclude each other: one beginning")


def check_roots(config: DictConfig) -> None:
    """Raises DataNotFoundError where the set needs a folder, or several by name, that are not given."""
    data = config.data
    names = NAMED_ROOT.findall(str(OmegaConf.to_container(data.source, resolve=False)))
    if names:
        root = None if OmegaConf.is_missing(data, "root") else data.root
        given = [name for name in names if isinstance(root, DictConfig) and root.get(name) is not None]
        due = [f"data.root.{name}=FOLDER" for name in names if name not in given]
    else:
        due = ["data.root=FOLDER"] if OmegaConf.is_missing(data, "root") else []
    if due:
        raise DataNotFoundError(f"data={config.training_info.data} needs its photos: {' '.join(due)}")


TAKEN = ("size", "rate")
SET_STEPS = re.compile(r"\+*(recipe|model)\.[\w.]*steps=.*")


def with_choices_of_base(arguments: Sequence[str]) -> list[str]:
    """Overrides of train.py, with the size and the rate of `base_checkpoint=` where there is one.

    Raises:
        OptionError: others than the base's are asked for, or batches to train; bases of a sweep are not alike.
        CheckpointError: there is no such checkpoint.
    """
    paths = [one.partition("=")[2] for one in arguments if one.startswith("base_checkpoint=")]
    if not paths or paths[-1] in ("null", ""):
        return list(arguments)
    trained = [one for one in arguments if SET_STEPS.fullmatch(one)]
    if trained:
        raise OptionError(f"{trained[0]}: base_checkpoint stays as it is, no batches are trained with it")
    choices = {_choices(Path(path.strip("'\""))) for path in paths[-1].split(",")}
    if len(choices) > 1:
        raise OptionError("base_checkpoint: a sweep is over models of one size and rate")
    added = []
    for group, choice in choices.pop():
        asked = [one.partition("=")[2] for one in arguments if one.startswith(f"{group}=")]
        if asked and asked[-1] != choice:
            raise OptionError(f"{group}={asked[-1]}: base_checkpoint is of {group}={choice}, which is taken from it")
        added += [] if asked else [f"{group}={choice}"]
    return with_overrides(arguments, added)


def _choices(path: Path) -> tuple[tuple[str, str], ...]:
    from hific.io.checkpoint_file import read_checkpoint  # torch, which those do not wait for who name no checkpoint

    entry = read_checkpoint(path).get("hific")
    if not isinstance(entry, dict) or not isinstance(entry.get("training"), dict):
        raise CheckpointError(f"{path}: a checkpoint, but not one that this suite's train.py made")
    return tuple((group, str(entry["training"][group])) for group in TAKEN if group in entry["training"])


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
        check_value(name, config[name], hint)
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
            check_value(_name_of(node, name, key), node[key], hints[key])


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


def check_value(name: str, value: Any, hint: Any) -> None:
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
