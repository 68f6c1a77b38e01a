"""Tables of studies, drawn from rows, and a figure of those by epoch: nothing is measured here. A new kind is a
function, a line in _KINDS and a name in study.TABLE_KINDS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from experiments.curves import curve_figure, curve_table, read_curves
from experiments.pages.evidence import ratio_interval
from experiments.study import TableOf, seed_suffix
from hific.errors import OptionError
from hific.evaluation.columns import metric_column
from hific.evaluation.folder import read_rows
from hific.evaluation.means import SystemSummary, summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.plots import save_figure
from hific.evaluation.tables import Table, mean_table, number_cell
from hific.io.checkpoint_file import read_checkpoint
from hific.io.write_whole import write_whole

FILTERED_SHARE = "post_filtered_share"
QUALITY = ("psnr", "lpips_alex", "lpips_squeeze")
# Names of what is fitted, in a checkpoint's coding.
FITTED_PARTS = ("context_coded.", "post_filter.")
LAST_SYSTEM = ", last"
Rows = Sequence[Measurement]


@dataclass(frozen=True)
class Fitted:
    """What was fitted to a trained model. num_bytes: of its arrays in the checkpoint."""

    fit_seconds: float | None
    num_bytes: int


def write_tables(
    tables: Mapping[str, TableOf], folder: Path, checkpoints: Mapping[str, Path], seeds: Sequence[int] = ()
) -> Mapping[str, Table]:
    """NAME.md and NAME.csv into `folder`, which holds the measurements of `checkpoints` (by label); of several seeds,
    NAME_seed1 and so on. Raises OptionError where a table names what was not measured, AssertionError where rows
    contradict what a table says."""
    rows = read_rows(folder / "measurements.parquet") if tables else []
    if len(seeds) < 2:
        return _write(tables, folder, rows, checkpoints)
    found: dict[str, Table] = {}
    for seed in seeds:
        suffix = seed_suffix(seed)
        named = {f"{name}{suffix}": table for name, table in tables.items()}
        found |= _write(named, folder, rows_of_seed(rows, seed), of_seed(checkpoints, seed))
    return found


def rows_of_seed(rows: Rows, seed: int) -> Rows:
    """As if it had been the only one."""
    found = ((row, *row.system.partition(", ")) for row in rows)
    suffix = seed_suffix(seed)
    return [
        replace(row, system=f"{label.removesuffix(suffix)}{comma}{coder}")
        for row, label, comma, coder in found
        if label.endswith(suffix)
    ]


def of_seed(checkpoints: Mapping[str, Path], seed: int) -> Mapping[str, Path]:
    suffix = seed_suffix(seed)
    return {label.removesuffix(suffix): path for label, path in checkpoints.items() if label.endswith(suffix)}


def _write(
    tables: Mapping[str, TableOf], folder: Path, rows: Rows, checkpoints: Mapping[str, Path]
) -> dict[str, Table]:
    found = {}
    for name, table in tables.items():
        drawn = found[name] = _KINDS[table.kind](rows, table, checkpoints)
        write_whole(folder / f"{name}.md", drawn.to_markdown())
        write_whole(folder / f"{name}.csv", drawn.to_csv())
        if table.kind == "by_epoch":
            save_figure(curve_figure(read_curves(checkpoints), table.metrics), folder / name)
        print(f"\n{drawn.to_markdown()}\n{folder / name}.md and .csv", flush=True)
    return found


def read_fitted(checkpoint: Path) -> Fitted:
    entry = read_checkpoint(checkpoint)["hific"]
    arrays = [tensor for part, tensor in entry["tables"].items() if part.startswith(FITTED_PARTS)]
    return Fitted(entry["training"].get("fit_seconds"), sum(one.numel() * one.element_size() for one in arrays))


def ablation_table(rows: Rows, fitted: Mapping[str, Fitted]) -> Table:
    """A line for each label of `fitted`, of its last system: with all that was fitted; the first is the reference.
    Where there are post-filters, also decoded images without and with them."""
    is_filtered = any(FILTERED_SHARE in row.metrics for row in rows)
    metrics = [name for name in QUALITY if is_filtered and any(name in row.metrics for row in rows)]
    header = ("variant", "bytes", "bpp", "change, %", "encode, s", "decode, s", "fit, s", "fitted, KiB")
    headings = [metric_column(name).heading for name in metrics]
    more = [text for heading in headings for text in (heading, f"filtered: {heading}")]
    more += [metric_column(FILTERED_SHARE).title] if is_filtered else []
    reference = systems_of(rows, next(iter(fitted)))[0]
    body = []
    for label, one in fitted.items():
        systems = systems_of(rows, label)
        quality = _quality_cells(systems, metrics) if is_filtered else ()
        body.append((label, *_cost_cells(systems[-1], one, reference), *quality))
    note = (
        "Means over images. change: of all bytes, against the same symbols coded by the hyperprior alone, with a 95 % "
        "interval by bootstrap over images; fitted: its arrays in the checkpoint."
    )
    return Table((*header, *more), tuple(body), (note,))


def bytes_table(rows: Rows, table: TableOf) -> Table:
    """Bytes of each image and their mean, a column for each system of each group, with the change against the first of
    the group in percent. Raises AssertionError where the systems of a group do not decode to the same pixels."""
    header, columns, names = ["image"], [], []
    for group in table.groups:
        of_group = {name: _system(rows, label.format(group=group)).rows for name, label in table.systems.items()}
        check_same_pixels(list(of_group.values()))
        header += [f"{group}: {name}" for name in of_group]
        sizes = [_with_mean(one) for one in of_group.values()]
        columns += [_bytes_cells(one, None if one is sizes[0] else sizes[0]) for one in sizes]
        names = [*(row.image for row in next(iter(of_group.values()))), "mean"]
    note = "Bytes of whole files. The systems of a group decode to the same pixels: all metrics are equal, by image."
    return Table(tuple(header), tuple(zip(names, *columns, strict=True)), (note,))


def check_same_pixels(systems: Sequence[Rows]) -> None:
    """By the metrics of each image, which are computed from the decoded pixels: those that all have are equal to the
    last bit. AssertionError where they are not."""
    for of_image in zip(*systems, strict=True):
        shared = set.intersection(*(set(row.metrics) for row in of_image)) - {"estimated_bpp"}
        if "mse" not in shared or any(len({row.metrics[name] for row in of_image}) > 1 for name in shared):
            named = "; ".join(row.system for row in of_image)
            raise AssertionError(f"{of_image[0].image}: not the same decoded pixels of {named}")


def quality_table(rows: Rows, table: TableOf) -> Table:
    """Means of `metrics`, a line for each system of each group. What is absent says why."""
    found: list[Measurement] = []
    for group in table.groups:
        for name, label in table.systems.items():
            system = _system(rows, label.format(group=group))
            of_system = [*system.rows, *([system.set_row] if system.set_row else [])]
            found += [replace(row, system=f"{name}, {group}") for row in of_system]
    return mean_table(found, table.metrics)


def systems_of(rows: Rows, label: str) -> list[SystemSummary]:
    """Of one checkpoint, in the order of evaluate.py: with all that it has comes last. OptionError where there is
    none."""
    found = [one for one in summarize(rows) if one.system.startswith(f"{label}, ")]
    if not found:
        raise OptionError(f"a table names {label}, which was not measured")
    return found


def change_in_percent(num_bytes: float, reference: float) -> float:
    return 100 * (num_bytes / reference - 1)


def _system(rows: Rows, reference: str) -> SystemSummary:
    label = reference.removesuffix(LAST_SYSTEM)
    return systems_of(rows, label)[-1 if label != reference else 0]


def _change_cell(system: SystemSummary, reference: SystemSummary) -> str:
    """Of all bytes in percent, paired by image; a number alone where there is one image, or no change."""
    theirs = {row.image: row.num_bytes for row in reference.rows}
    own = np.array([row.num_bytes for row in system.rows], dtype=float)
    other = np.array([theirs[row.image] for row in system.rows], dtype=float)
    change = number_cell(change_in_percent(own.sum(), other.sum()), 2)
    if len(own) < 2 or np.array_equal(own, other):
        return change
    low, high = ratio_interval(own, other)
    return f"{change} [{number_cell(low, 2)}, {number_cell(high, 2)}]"


def _cost_cells(last: SystemSummary, fitted: Fitted, reference: SystemSummary) -> tuple[str, ...]:
    return (
        number_cell(last.mean(lambda row: row.num_bytes), 0),
        number_cell(last.mean(lambda row: row.bpp), 4),
        _change_cell(last, reference),
        number_cell(last.mean(lambda row: row.encode_seconds), 3),
        number_cell(last.mean(lambda row: row.decode_seconds), 3),
        number_cell(fitted.fit_seconds, 1),
        number_cell(fitted.num_bytes / 1024, 1),
    )


def _quality_cells(systems: Sequence[SystemSummary], metrics: Sequence[str]) -> tuple[str, ...]:
    """Each metric without and with the post-filter, then its share of tiles; empty where there is none."""
    plain, last = systems[0], systems[-1]
    share = last.metric(FILTERED_SHARE).value
    cells = []
    for name in metrics:
        filtered = None if share is None else last.metric(name).value
        cells += [number_cell(value, metric_column(name).digits) for value in (plain.metric(name).value, filtered)]
    return (*cells, number_cell(share, metric_column(FILTERED_SHARE).digits))


def _with_mean(rows: Rows) -> list[float]:
    sizes = [row.num_bytes for row in rows]
    return [*sizes, sum(sizes) / len(sizes)]


def _bytes_cells(sizes: Sequence[float], plain: Sequence[float] | None) -> list[str]:
    if plain is None:
        return [number_cell(size, 0) for size in sizes]
    changes = [change_in_percent(size, reference) for size, reference in zip(sizes, plain, strict=True)]
    return [f"{number_cell(size, 0)} ({change:.1f} %)" for size, change in zip(sizes, changes, strict=True)]


_KINDS: dict[str, Callable[[Rows, TableOf, Mapping[str, Path]], Table]] = {
    "context_ablation": lambda rows, _, paths: ablation_table(
        rows, {key: read_fitted(at) for key, at in paths.items()}
    ),
    "bytes_by_image": lambda rows, table, _: bytes_table(rows, table),
    "quality": lambda rows, table, _: quality_table(rows, table),
    "by_epoch": lambda _, table, paths: curve_table(read_curves(paths), table.metrics),
}
