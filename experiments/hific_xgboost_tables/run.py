"""HiFiC, HiFiC + KNN and HiFiC + XGBoost at low, medium and high: the paper's tables of bytes and of quality.

    python -m experiments.hific_xgboost_tables.run data=folder data.root=photos weights.dir=weights \
        --evaluate data=kodak data.root=kodak

HiFiC is trained as experiments/hific_small does, unless its checkpoints are given: --bases LOW MEDIUM HIGH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.commands import Options, parse
from experiments.hific_small.run import train_rates
from experiments.neighbor_ablation import change_in_percent, fit, measure, read_base, write_table
from hific.errors import CheckpointError, exit_on_user_error
from hific.evaluation.means import summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.tables import mean_table, number_cell
from hific.evaluation.text_table import Table

RATES = ("low", "medium", "high")
# What is fitted to HiFiC. Refined images are lines of their own in the table of quality.
FITTED = {"hific_knn": ["model=hific_knn"], "hific_xgboost": ["model=hific_xgboost", "model.refine=xgboost"]}
# Systems of table 1 at a rate, and those of table 3.
SAME_PIXELS = {
    "HiFiC": "hific_{rate}, hyperprior",
    "HiFiC + KNN": "hific_knn_{rate}, neighbor",
    "HiFiC + XGBoost": "hific_xgboost_{rate}, neighbor",
}
REFINED = "hific_xgboost_{rate}, neighbor, refined"
ALL = {**SAME_PIXELS, "HiFiC + XGBoost, refined": REFINED}
# Table 2 shows pictures: those that differ.
SHOWN = (SAME_PIXELS["HiFiC + XGBoost"], REFINED)
QUALITY = ("mse", "psnr", "ssim", "lpips_alex", "lpips_squeeze", "fid", "kid")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/hific_xgboost_tables", arguments, bases=[rate.upper() for rate in RATES])
    with exit_on_user_error():
        bases = dict(zip(RATES, options.bases, strict=True)) if options.bases else train_rates(options)
        checkpoints: dict[str, Path] = {}
        for rate, base in bases.items():
            checkpoints |= _with_predictors(options, rate, base)
        shown = [system.format(rate=rate) for rate in RATES for system in SHOWN]
        rows = measure(options, checkpoints, "HiFiC with neighbor predictors", shown)
    write_table(bytes_table(rows), options.output / "table1_bytes")
    write_table(quality_table(rows), options.output / "table3_quality")


def _with_predictors(options: Options, rate: str, checkpoint: Path) -> dict[str, Path]:
    base = read_base(checkpoint)
    if f"rate={rate}" not in base.choices:
        raise CheckpointError(
            f"{checkpoint}: rate={rate} is due, not {' '.join(base.choices)}: --bases LOW MEDIUM HIGH"
        )
    fitted = {f"{name}_{rate}": fit(options, base, f"{name}_{rate}", *added) for name, added in FITTED.items()}
    return {f"hific_{rate}": checkpoint, **fitted}


def bytes_table(rows: Sequence[Measurement]) -> Table:
    """Table 1: bytes of each image and their mean, with the change against HiFiC in percent. Raises AssertionError
    where the systems of a rate do not decode to the same pixels.
    """
    header, columns = ["image"], []
    for rate in RATES:
        of_rate = {name: _rows_of(rows, system.format(rate=rate)) for name, system in SAME_PIXELS.items()}
        check_same_pixels(list(of_rate.values()))
        header += [f"{rate}: {name}" for name in of_rate]
        plain = _with_mean(of_rate["HiFiC"])
        columns += [_bytes_cells(_with_mean(one), None if name == "HiFiC" else plain) for name, one in of_rate.items()]
    names = [*(row.image for row in of_rate["HiFiC"]), "mean"]
    notes = (
        "Bytes of whole files. At each rate the three decode to the same pixels: all metrics are equal, by image.",
    )
    return Table(tuple(header), tuple(zip(names, *columns, strict=True)), notes)


def check_same_pixels(systems: Sequence[Sequence[Measurement]]) -> None:
    """By the metrics of each image, which are computed from the decoded pixels: those that all have are equal to the
    last bit. AssertionError where they are not."""
    for of_image in zip(*systems, strict=True):
        shared = set.intersection(*(set(row.metrics) for row in of_image)) - {"estimated_bpp"}
        if "mse" not in shared or any(len({row.metrics[name] for row in of_image}) > 1 for name in shared):
            named = "; ".join(row.system for row in of_image)
            raise AssertionError(f"{of_image[0].image}: not the same decoded pixels of {named}")


def quality_table(rows: Sequence[Measurement]) -> Table:
    """Table 3: what is absent says why."""
    wanted = {system.format(rate=rate): f"{name}, {rate}" for rate in RATES for name, system in ALL.items()}
    return mean_table([replace(row, system=wanted[row.system]) for row in rows if row.system in wanted], QUALITY)


def _rows_of(rows: Sequence[Measurement], system: str) -> tuple[Measurement, ...]:
    return next(one.rows for one in summarize(rows) if one.system == system)


def _with_mean(rows: Sequence[Measurement]) -> list[float]:
    sizes = [row.num_bytes for row in rows]
    return [*sizes, sum(sizes) / len(sizes)]


def _bytes_cells(sizes: Sequence[float], plain: Sequence[float] | None) -> list[str]:
    if plain is None:
        return [number_cell(size, 0) for size in sizes]
    changes = [change_in_percent(size, reference) for size, reference in zip(sizes, plain, strict=True)]
    return [f"{number_cell(size, 0)} ({change:.1f} %)" for size, change in zip(sizes, changes, strict=True)]


if __name__ == "__main__":
    main()
