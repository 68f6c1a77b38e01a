"""study.yaml: what is trained and measured for one table or figure, as data, checked when it is read.

    title, question   what the report is called, what is asked
    claim             where in the paper the answer stands; paper.csv has the claims themselves
    cost              at size=small, for --list
    family            hific or compressnet: whose sizes/FAMILY.yaml says what smoke, short and the others are
    train, evaluate   overrides of train.py for every variant, and of evaluate.py
    sizes             {SIZE: {train, evaluate}}: more of them at that size
    seeds             each variant is trained once a seed; absent: once, with the configuration's own
    codecs            classical codecs, matched in bytes to the first variant; absent: as the size has it
    variants          {NAME: [overrides of train.py]}, or {NAME: {train, sizes: {SIZE: [...]}, shipped, after}}
      after           {init_from: VARIANT/FILE} or {base_checkpoint: VARIANT}: that variant, listed above, comes first
      shipped         {SIZE: MODEL}: at that size a model of the package (hific/zoo) in place of a training
    measure           {NAME: {LABEL: VARIANT/FILE}}: an evaluation each; absent: one, of all variants
    tables            {FILE: {kind, groups, systems, metrics}}: drawn from the rows (experiments/tables.py)

Overrides count in this order, the last one wins: sizes/FAMILY.yaml, study, study at the size, variant, variant at the
size, seed, command line. FILE is last.ckpt where it is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hific.errors import OptionError
from hific.zoo import MODELS

FOLDER = Path(__file__).parent
LAST = "last.ckpt"
BEGINNINGS = ("init_from", "base_checkpoint")
TABLE_KINDS = ("context_ablation", "bytes_by_image", "quality", "by_epoch")
Overrides = tuple[str, ...]


@dataclass(frozen=True)
class CheckpointOf:
    """A file that the training of `variant` leaves."""

    variant: str
    file: str = LAST


@dataclass(frozen=True)
class After:
    """What a training begins with. beginning: of BEGINNINGS, the option of train.py that takes it."""

    beginning: str
    checkpoint: CheckpointOf


@dataclass(frozen=True)
class SizeOptions:
    train: Overrides = ()
    evaluate: Overrides = ()


@dataclass(frozen=True)
class Variant:
    train: Overrides = ()
    sizes: Mapping[str, Overrides] = field(default_factory=dict)
    shipped: Mapping[str, str] = field(default_factory=dict)
    after: After | None = None


@dataclass(frozen=True)
class TableOf:
    """kind: of TABLE_KINDS. systems: a row's or column's name to the label of a checkpoint, in which {group} stands
    for each of `groups`; ", last" behind the label means its last system, post-filtered, not its first."""

    kind: str
    groups: tuple[str, ...] = ()
    systems: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    name: str
    title: str
    question: str
    family: str
    cost: str
    variants: Mapping[str, Variant]
    claim: str = ""
    train: Overrides = ()
    evaluate: Overrides = ()
    sizes: Mapping[str, SizeOptions] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    codecs: tuple[str, ...] | None = None
    measure: Mapping[str, Mapping[str, CheckpointOf]] = field(default_factory=dict)
    tables: Mapping[str, TableOf] = field(default_factory=dict)


def seed_suffix(seed: int) -> str:
    """Of a variant's label, where each is trained with several seeds."""
    return f"_seed{seed}"


def study_names() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/study.yaml"))


def read_study(name: str) -> Study:
    """Raises OptionError for a study that there is not, or whose study.yaml is not as the head of this file says."""
    path = FOLDER / name / "study.yaml"
    if not path.is_file():
        raise OptionError(f"{name} is no experiment; there are {', '.join(study_names())}")
    return parse_study(name, load_yaml(path), f"experiments/{name}/study.yaml")


def read_sizes(family: str) -> dict[str, SizeOptions]:
    path = FOLDER / "sizes" / f"{family}.yaml"
    if not path.is_file():
        known = sorted(one.stem for one in path.parent.glob("*.yaml"))
        raise OptionError(f"family={family} is none of {', '.join(known)}")
    return _sizes(load_yaml(path), f"experiments/sizes/{family}.yaml")


def parse_study(name: str, entries: Any, where: str) -> Study:
    """Of the mapping that a study.yaml is; `where` begins each OptionError."""
    given = _mapping(entries, where)
    check_keys(given, [one.name for one in fields(Study) if one.name != "name"], where)
    if missing := [key for key in ("title", "question", "family", "cost", "variants") if not given.get(key)]:
        raise OptionError(f"{where}: {', '.join(missing)} is missing")
    seeds = given.get("seeds", [])
    if not isinstance(seeds, list) or not all(isinstance(seed, int) for seed in seeds):
        raise OptionError(f"{where}: seeds={seeds}: a list of whole numbers is due")
    study = Study(
        name,
        title=str(given["title"]).strip(),
        question=str(given["question"]).strip(),
        claim=str(given.get("claim", "")).strip(),
        cost=str(given["cost"]).strip(),
        family=str(given["family"]),
        train=_strings(given.get("train", []), f"{where}: train"),
        evaluate=_strings(given.get("evaluate", []), f"{where}: evaluate"),
        sizes=_sizes(given.get("sizes", {}), f"{where}: sizes"),
        seeds=tuple(seeds),
        codecs=_strings(given["codecs"], f"{where}: codecs") if "codecs" in given else None,
        variants={key: _variant(one, f"{where}: variants.{key}") for key, one in _items(given, "variants", where)},
        measure={key: _labels(one, f"{where}: measure.{key}") for key, one in _items(given, "measure", where)},
        tables={key: _table(one, f"{where}: tables.{key}") for key, one in _items(given, "tables", where)},
    )
    _check_references(study, where)
    return study


def check_keys(given: Mapping[str, Any], known: Collection[str], where: str) -> None:
    if unknown := [str(key) for key in given if key not in known]:
        raise OptionError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}")


def _check_references(study: Study, where: str) -> None:
    above: list[str] = []
    for name, variant in study.variants.items():
        if variant.after is not None and variant.after.checkpoint.variant not in above:
            before = variant.after.checkpoint.variant
            raise OptionError(f"{where}: variants.{name} is after {before}, which is not listed above it")
        above.append(name)
    measured = [one.variant for labels in study.measure.values() for one in labels.values()]
    if unknown := [name for name in measured if name not in study.variants]:
        raise OptionError(f"{where}: measure names {', '.join(unknown)}; variants are {', '.join(study.variants)}")
    if study.tables and len(study.measure) > 1:
        raise OptionError(f"{where}: tables are of one evaluation, and measure has {len(study.measure)}")


def _variant(entry: Any, where: str) -> Variant:
    if isinstance(entry, list) or entry is None:
        return Variant(_strings(entry or [], where))
    given = _mapping(entry, where)
    check_keys(given, [one.name for one in fields(Variant)], where)
    sizes = {size: _strings(one, f"{where}.sizes.{size}") for size, one in _items(given, "sizes", where)}
    after = None
    if "after" in given:
        beginnings = _mapping(given["after"], f"{where}.after")
        check_keys(beginnings, BEGINNINGS, f"{where}.after")
        if len(beginnings) != 1:
            raise OptionError(f"{where}.after: one of {', '.join(BEGINNINGS)} is due")
        ((beginning, checkpoint),) = beginnings.items()
        after = After(beginning, _checkpoint(checkpoint))
    shipped = {size: str(name) for size, name in _items(given, "shipped", where)}
    if unknown := [name for name in shipped.values() if name not in MODELS]:
        raise OptionError(f"{where}.shipped: {', '.join(unknown)} is none of {', '.join(MODELS)}")
    return Variant(_strings(given.get("train", []), f"{where}.train"), sizes, shipped, after)


def _table(entry: Any, where: str) -> TableOf:
    given = _mapping(entry, where)
    check_keys(given, [one.name for one in fields(TableOf)], where)
    if given.get("kind") not in TABLE_KINDS:
        raise OptionError(f"{where}: kind={given.get('kind')} is none of {', '.join(TABLE_KINDS)}")
    lists = {key: _strings(given.get(key, []), f"{where}.{key}") for key in ("groups", "metrics")}
    systems = {key: str(label) for key, label in _items(given, "systems", where)}
    return TableOf(given["kind"], systems=systems, **lists)


def _sizes(entries: Any, where: str) -> dict[str, SizeOptions]:
    found = {}
    for size, one in _mapping(entries, where).items():
        given = _mapping(one, f"{where}.{size}")
        check_keys(given, [option.name for option in fields(SizeOptions)], f"{where}.{size}")
        found[size] = SizeOptions(**{key: _strings(value, f"{where}.{size}.{key}") for key, value in given.items()})
    return found


def _labels(entry: Any, where: str) -> dict[str, CheckpointOf]:
    return {str(label): _checkpoint(one) for label, one in _mapping(entry, where).items()}


def _checkpoint(reference: Any) -> CheckpointOf:
    variant, _, file = str(reference).partition("/")
    return CheckpointOf(variant, file or LAST)


def _items(given: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in _mapping(given.get(key) or {}, f"{where}: {key}").items()]


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise OptionError(f"{where}: names with values are due, not {value!r}")
    return value


def _strings(value: Any, where: str) -> Overrides:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise OptionError(f"{where}: a list of texts is due, not {value!r}")
    return tuple(value)


def load_yaml(path: Path) -> Any:
    """With interpolations as they stand: they are for train.py. OptionError for what is no YAML."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (YAMLError, OmegaConfBaseException, OSError) as error:
        raise OptionError(f"{path}: {' '.join(str(error).split())}") from error
