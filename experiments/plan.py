"""From a study and what was asked for to trainings and evaluations, each with the folder that its content has.

OUTPUT/trained/MODEL-ID/            last.ckpt, content.json, finished: shared by all studies
OUTPUT/STUDY/SIZE[-NAME]-ID/        report.md, measurements, tables, content.json, finished
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.content import Content, evaluation_content, training_content
from experiments.study import LAST, CheckpointOf, Overrides, SizeOptions, Study, Variant, read_sizes, seed_suffix
from hific import zoo
from hific.cli.train_options import SET_STEPS
from hific.errors import OptionError
from hific.io.file_digest import file_digest

FINISHED = "finished"
# What the runner itself decides.
OWN_OPTIONS = ("ckpt_path", "checkpoint", "names", "output_dir", "hydra.run.dir")


@dataclass(frozen=True)
class Request:
    """What was typed. use: checkpoints that are trained already, by their variant, or shipped models' names. seeds: in
    place of the study's."""

    size: str
    output: Path
    train: Overrides = ()
    evaluate: Overrides = ()
    use: Mapping[str, Path] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Training:
    """label: the variant, with its seed where there are several. overrides: of train.py, all but where it runs.
    needs: the label that is trained before. given: a checkpoint, or a shipped model's name, that is taken in place of a
    training."""

    label: str
    folder: Path
    identity: str
    overrides: Overrides = ()
    content: Content | None = None
    needs: str | None = None
    given: Path | None = None

    @property
    def is_finished(self) -> bool:
        return self.given is not None or ((self.folder / FINISHED).exists() and self.checkpoint().exists())

    def checkpoint(self, file: str = LAST) -> Path:
        """Beside a given last.ckpt its run's other checkpoints are."""
        return self.given if self.given is not None and file == LAST else self.folder / file


@dataclass(frozen=True)
class Evaluation:
    """checkpoints: a training's label and a file of it, by the label that tables give it."""

    folder: Path
    overrides: Overrides
    content: Content
    checkpoints: Mapping[str, CheckpointOf]

    @property
    def is_finished(self) -> bool:
        return (self.folder / FINISHED).exists()


def plan_trainings(study: Study, request: Request) -> dict[str, Training]:
    """By label, each after those that it needs. OptionError where options do not compose or make two variants one,
    before anything runs."""
    _check(study, request)
    trainings = _trainings(study, request)
    _check_told_apart(study, request, trainings)
    return trainings


def _trainings(study: Study, request: Request) -> dict[str, Training]:
    trainings: dict[str, Training] = {}
    for seed in study.seeds or (None,):
        for name, variant in study.variants.items():
            label = _label(study, name, seed)
            given = request.use.get(name) or variant.shipped.get(request.size)
            if given is not None:
                path = Path(given)
                trainings[label] = Training(label, path.parent, f"given {_given_id(path)}", given=path)
            else:
                before = (
                    None if variant.after is None else trainings[_label(study, variant.after.checkpoint.variant, seed)]
                )
                overrides = _train_overrides(study, variant, seed, request)
                trainings[label] = _training(label, overrides, variant, before, request.output)
    return trainings


def plan_evaluation(
    study: Study,
    request: Request,
    name: str,
    checkpoints: Mapping[str, CheckpointOf],
    trainings: Mapping[str, Training],
) -> Evaluation:
    overrides = _evaluate_overrides(study, request)
    paths = [str(trainings[one.variant].checkpoint(one.file)) for one in checkpoints.values()]
    identities = {label: f"{trainings[one.variant].identity} {one.file}" for label, one in checkpoints.items()}
    content = evaluation_content(overrides, identities)
    folder = request.output / study.name / "-".join(part for part in (request.size, name, content.id) if part)
    chosen = (f"checkpoint=[{','.join(paths)}]", f"names=[{','.join(checkpoints)}]")
    return Evaluation(folder, (*chosen, *overrides), content, checkpoints)


def evaluations_wanted(study: Study) -> dict[str, dict[str, CheckpointOf]]:
    """By name, checkpoints by their label, whose variants are labels of trainings here."""
    wanted = study.measure or {"": {name: CheckpointOf(name) for name in study.variants}}
    return {
        name: {
            _label(study, label, seed): CheckpointOf(_label(study, one.variant, seed), one.file)
            for seed in study.seeds or (None,)
            for label, one in checkpoints.items()
        }
        for name, checkpoints in wanted.items()
    }


def _training(label: str, overrides: Overrides, variant: Variant, before: Training | None, output: Path) -> Training:
    after: dict[str, str] = {}
    begun: Overrides = ()
    if variant.after is not None and before is not None:
        option, file = variant.after.beginning, variant.after.checkpoint.file
        after = {option: f"{before.identity} {file}"}
        begun = (f"{option}={before.checkpoint(file)}",)
    try:
        content = training_content(overrides, after)
    except OptionError as error:
        raise OptionError(f"variant {label}: {error}") from error
    folder = output / "trained" / f"{content.facts['options']['model']['name']}-{content.id}"
    needs = None if before is None else before.label
    return Training(label, folder, content.id, (*overrides, *begun), content, needs)


def _train_overrides(study: Study, variant: Variant, seed: int | None, request: Request) -> Overrides:
    shared, own = _options_at(study, request.size)
    seeded = () if seed is None else (f"seed={seed}",)
    at_size = variant.sizes.get(request.size, ())
    overrides = (*shared.train, *study.train, *own.train, *variant.train, *at_size, *seeded, *request.train)
    if variant.after is None or variant.after.beginning != "base_checkpoint":
        return overrides
    return tuple(one for one in overrides if not SET_STEPS.fullmatch(one))  # nothing is trained over a base


def _evaluate_overrides(study: Study, request: Request) -> Overrides:
    """Data and weights of training count here too, unless the evaluation has its own."""
    shared, own = _options_at(study, request.size)
    codecs = () if study.codecs is None else (f"classical=[{','.join(study.codecs)}]",)
    has_data = any(_names_data(one) for one in request.evaluate)
    carried = [one for one in request.train if _option(one) == "weights.dir" or (_names_data(one) and not has_data)]
    title = f"title='{study.title}'"
    return (*shared.evaluate, title, *codecs, *study.evaluate, *own.evaluate, *carried, *request.evaluate)


def _options_at(study: Study, size: str) -> tuple[SizeOptions, SizeOptions]:
    """Of the family, and of the study itself."""
    shared = read_sizes(study.family)
    return shared[size], study.sizes.get(size, SizeOptions())


def _check(study: Study, request: Request) -> None:
    sizes = read_sizes(study.family)
    of_variants = (size for one in study.variants.values() for size in (*one.sizes, *one.shipped))
    named = [*study.sizes, *of_variants, request.size]
    if unknown := [size for size in named if size not in sizes]:
        raise OptionError(f"{study.name}: size={unknown[0]} is none of {', '.join(sizes)}")
    for override in (*request.train, *request.evaluate):
        if _option(override) in OWN_OPTIONS:
            raise OptionError(f"{override}: {_option(override)} is the experiment's own; --output says where it goes")
    for name, path in request.use.items():
        if name not in study.variants:
            raise OptionError(f"--use {name}={path}: {study.name} has {', '.join(study.variants)}")
        if not path.is_file() and str(path) not in zoo.MODELS:
            raise OptionError(f"--use {name}={path}: there is no such checkpoint")


def _check_told_apart(study: Study, request: Request, trainings: Mapping[str, Training]) -> None:
    """The command line counts last: what it sets may be all that tells two variants apart, and one training would have
    rows under two names."""
    same = _first_two_alike(trainings)
    if same is None:
        return
    varied = {
        _option(override)
        for variant in study.variants.values()
        for override in (*variant.train, *variant.sizes.get(request.size, ()))
    }
    typed = [one for one in request.train if _option(one) in varied]
    if not typed:
        return  # so it is at this size: smoke does without the weights that two perceptual losses would differ by
    kept = tuple(one for one in request.train if one not in typed)
    without = _trainings(study, replace(request, train=kept))
    if without[same[0]].identity != without[same[1]].identity:
        raise OptionError(
            f"{', '.join(typed)}: {' and '.join(same)} of {study.name} would be one training, "
            "as this takes away what tells them apart"
        )


def _first_two_alike(trainings: Mapping[str, Training]) -> tuple[str, str] | None:
    seen: dict[str, str] = {}
    for label, training in trainings.items():
        if training.given is None and seen.setdefault(training.identity, label) != label:
            return seen[training.identity], label
    return None


def _given_id(path: Path) -> str:
    return file_digest(path) if path.is_file() else zoo.describe(str(path)).fingerprint


def _label(study: Study, name: str, seed: int | None) -> str:
    return f"{name}{seed_suffix(seed)}" if len(study.seeds) > 1 and seed is not None else name


def _names_data(override: str) -> bool:
    option = _option(override)
    return option == "data" or option.startswith("data.root")


def _option(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
