"""Experiments over one trained HiFiC that stays as it is: predictors are fitted to it, measured, and compared.

base (trained, or --base) ─┬───────────────────────────────────────────┐
                           ├─ train.py model.base_checkpoint=, variant ─┼─ evaluate.py ─ measurements ─ ablation.md
                           └─ train.py model.base_checkpoint=, variant ─┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.commands import Options, evaluate, parse, train, train_once
from hific.codecs.load import load_codec
from hific.errors import CheckpointError, exit_on_user_error
from hific.evaluation.columns import metric_column
from hific.evaluation.means import SystemSummary, summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.row_files import read_rows
from hific.evaluation.tables import number_cell
from hific.evaluation.text_table import Table
from hific.io.write_whole import write_whole

# The row of the base itself, which comes first.
BASE = "hific"
REFINED = "refined_share"
QUALITY = ("psnr", "lpips_alex", "lpips_squeeze")
PREDICTOR_PARTS = ("neighbor.", "refinement.")


@dataclass(frozen=True)
class Base:
    """A trained HiFiC without predictors. choices: of its training, "rate=low" and "size=small"."""

    checkpoint: Path
    fingerprint: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Predictors:
    """What was fitted for a variant. num_bytes: of its arrays in the checkpoint."""

    fit_seconds: float | None
    num_bytes: int


def ablate_neighbor(
    description: str | None,
    name: str,
    title: str,
    variants: Mapping[str, Sequence[str]],
    arguments: Sequence[str] | None = None,
) -> None:
    """Fits each of `variants` (overrides of model=hific_xgboost by name) to one HiFiC and measures them side by side in
    outputs/`name`."""
    options = parse(description, f"outputs/{name}", arguments, bases=("CHECKPOINT",))
    with exit_on_user_error():
        base = read_base(options.bases[0] if options.bases else train(options, "base", "model=hific"))
        fitted = {
            variant: fit(options, base, variant, "model=hific_xgboost", *overrides)
            for variant, overrides in variants.items()
        }
        checkpoints = {BASE: base.checkpoint, **fitted}
        rows = measure(options, checkpoints, title)
        predictors = {label: read_predictors(path) for label, path in checkpoints.items()}
    write_table(ablation_table(rows, predictors), options.output / "ablation")


def read_base(checkpoint: Path) -> Base:
    """Raises CheckpointError where it is not a HiFiC, or has predictors already."""
    codec = load_codec(checkpoint)
    if codec.setting != "hyperprior":
        raise CheckpointError(f"{checkpoint}: a HiFiC without predictors is due, not {codec.name}, {codec.setting}")
    choices = tuple(f"{choice}={codec.training[choice]}" for choice in ("rate", "size") if choice in codec.training)
    return Base(checkpoint, codec.fingerprint.hex(), choices)


def fit(options: Options, base: Base, name: str, *overrides: str) -> Path:
    """Fits what `overrides` of train.py say into `output`/`name`, unless that is done; returns the checkpoint. Raises
    CheckpointError where it was done to another base."""
    over_base = (
        f"model.base_checkpoint={base.checkpoint}",
        *base.choices,
        # Whatever was asked of the training of the base.
        "model.stage1_steps=0",
        "model.stage2_steps=0",
        "trainer.max_steps=0",
        "test=false",
    )
    checkpoint = train_once(options.output / name, *options.train, *over_base, *overrides)
    if load_codec(checkpoint).training.get("base") != base.fingerprint:
        raise CheckpointError(
            f"{checkpoint}: was fitted to another model than {base.checkpoint}: delete it, or choose another --output"
        )
    return checkpoint


def measure(
    options: Options, checkpoints: Mapping[str, Path], title: str, panel: Sequence[str] = ()
) -> list[Measurement]:
    """Runs evaluate.py over checkpoints by their label, in the coding of their smallest files; classical codecs only
    where they are asked for. `panel`: systems to draw, by default each checkpoint's last."""
    smallest = replace(options, evaluate=(*options.evaluate, "codings=last"))
    names = f"names=[{','.join(checkpoints)}]"
    shown = [f"panel.systems={list(panel)}"] if panel else []
    evaluate(smallest, list(checkpoints.values()), names, "classical=[]", f"title='{title}'", *shown)
    return read_rows(options.output / "measurements.parquet")


def read_predictors(checkpoint: Path) -> Predictors:
    codec = load_codec(checkpoint)
    state = codec.coding_tables.state()
    sizes = [array.nbytes for part, array in state.items() if part.startswith(PREDICTOR_PARTS)]
    return Predictors(codec.training.get("fit_seconds"), sum(sizes))


def ablation_table(rows: Sequence[Measurement], predictors: Mapping[str, Predictors]) -> Table:
    """A line for each label of `predictors`, of its last system: with all that was fitted; BASE comes first. Where
    there are refinements, also decoded images without and with them."""
    is_refined = any(REFINED in row.metrics for row in rows)
    metrics = [name for name in QUALITY if is_refined and any(name in row.metrics for row in rows)]
    header = ("variant", "bytes", "bpp", "change, %", "encode, s", "decode, s", "fit, s", "predictor, KiB")
    headings = [metric_column(name).heading for name in metrics]
    more = [text for heading in headings for text in (heading, f"refined: {heading}")]
    more += [metric_column(REFINED).title] if is_refined else []
    reference = _total_bytes(systems_of(rows, next(iter(predictors)))[0])
    body = []
    for label, fitted in predictors.items():
        systems = systems_of(rows, label)
        quality = _quality_cells(systems, metrics) if is_refined else ()
        body.append((label, *_cost_cells(systems[-1], fitted, reference), *quality))
    note = (
        "Means over images. change: of all bytes, against the same symbols coded by the hyperprior alone; "
        "predictor: its arrays in the checkpoint."
    )
    return Table((*header, *more), tuple(body), (note,))


def systems_of(rows: Sequence[Measurement], label: str) -> list[SystemSummary]:
    """Of one checkpoint, in the order of evaluate.py: with all that it has comes last."""
    return [one for one in summarize(rows) if one.system.startswith(f"{label}, ")]


def change_in_percent(num_bytes: float, reference: float) -> float:
    return 100 * (num_bytes / reference - 1)


def write_table(table: Table, path: Path) -> None:
    """`path`.md and `path`.csv."""
    write_whole(path.with_suffix(".md"), table.to_markdown())
    write_whole(path.with_suffix(".csv"), table.to_csv())
    print(f"\n{table.to_markdown()}\n{path}.md and .csv", flush=True)


def _total_bytes(system: SystemSummary) -> int:
    return sum(row.num_bytes for row in system.rows)


def _cost_cells(last: SystemSummary, fitted: Predictors, reference: int) -> tuple[str, ...]:
    return (
        number_cell(last.mean(lambda row: row.num_bytes), 0),
        number_cell(last.mean(lambda row: row.bpp), 4),
        number_cell(change_in_percent(_total_bytes(last), reference), 2),
        number_cell(last.mean(lambda row: row.encode_seconds), 3),
        number_cell(last.mean(lambda row: row.decode_seconds), 3),
        number_cell(fitted.fit_seconds, 1),
        number_cell(fitted.num_bytes / 1024, 1),
    )


def _quality_cells(systems: Sequence[SystemSummary], metrics: Sequence[str]) -> tuple[str, ...]:
    """Each metric without and with refinement, then the share of refined tiles; empty where there is no refinement."""
    plain, last = systems[0], systems[-1]
    share = last.metric(REFINED).value
    cells = []
    for name in metrics:
        refined = None if share is None else last.metric(name).value
        cells += [number_cell(value, metric_column(name).digits) for value in (plain.metric(name).value, refined)]
    return (*cells, number_cell(share, metric_column(REFINED).digits))
