"""An evaluation, from its composed configuration to its folder of results: what evaluate.py does once its options are
known to be right (as training.py beside it)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from hific.cli.train_options import check_value
from hific.codecs.load import load_codec
from hific.cores import usable_cores
from hific.data.source import ImageSource, Split
from hific.errors import OptionError
from hific.evaluation.cached_files import CachedMake
from hific.evaluation.command import typed_command
from hific.evaluation.content_cache import ContentCache, open_cache
from hific.evaluation.equal_bytes import without_next_sizes
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.images import evaluation_images
from hific.evaluation.measurement import Measurement, find_provenance
from hific.evaluation.metrics_identity import metrics_identity
from hific.evaluation.metrics_of import MeasuredCache, Metrics
from hific.evaluation.panel import Zoom
from hific.evaluation.rate_search import make
from hific.evaluation.report import ReportContext, training_warnings
from hific.evaluation.request import (
    LabeledCodec,
    byte_limits_wanted,
    check_coders,
    check_device,
    check_file,
    check_folder,
    check_known,
    check_output,
    check_positive,
    check_scale,
    check_zoom,
    label_codecs,
    size_check,
    weights_warnings,
)
from hific.evaluation.round_trip import KeptTrips
from hific.evaluation.run import PARTIAL, PanelOptions, matched_names, measure_all, write_results
from hific.evaluation.tables import print_means
from hific.metrics.default import default_image_metrics, default_set_metrics

log = logging.getLogger("evaluate")
Texts = str | list[str] | None
# Of the options that no signature says: what they may be.
PLAIN: dict[str, Any] = {
    **dict.fromkeys(("checkpoint", "names", "coders", "classical", "panel.images", "panel.systems"), Texts),
    **dict.fromkeys(("num_images", "crop", "max_pixels", "workers", "page.max_bytes"), int | None),
    **dict.fromkeys(("controls", "both_sides"), bool),
    **dict.fromkeys(("panel.zoom_x", "panel.zoom_y"), float),
    "effort": int,
    "match_to": int | str,
}


def evaluate(config: DictConfig) -> list[Measurement]:
    """Runs the composed configuration: rows, and the folder `config.output_dir` full of results.

    Whatever is asked for and not there is an OptionError before anything is coded."""
    check_request(config)
    source = instantiate(config.data.source)
    families = [instantiate(config.codec[name]) for name in _listed(config.classical)]
    loaded = [
        load_codec(path, max_pixels=config.max_pixels, device=config.device, effort=config.effort or None)
        for path in _listed(config.checkpoint)
    ]
    codecs = label_codecs(loaded, _listed(config.names), _listed(config.coders))
    images, left_out = find_images(config, source, codecs)
    learned = [one for codec in codecs for one in codec.under_test(controls=config.controls)]
    references = [codec.reference for codec in codecs]
    limits = byte_limits_wanted(config.match_to, references, [image.name for image in images])
    panel = panel_options(config, images, [one.name for one in learned], references, matched_names(families, limits))
    training = {one.label: {**one.codec.training, "fingerprint": one.codec.fingerprint.hex()} for one in codecs}
    warnings = [*training_warnings(training), *left_out, *weights_warnings(config.weights.dir)]
    for warning in warnings:
        log.warning(warning)
    kept = [image.name for image in images] if config.reconstructions == "all" else panel.images
    folder = EvaluationFolder(Path(config.output_dir), keep=set(kept))
    cache = open_cache(config.cache)
    metrics = make_metrics(config, cache)
    provenance = find_provenance(device=config.device, config=_facts(config, source.name))
    try:
        rows = measure_all(
            learned,
            families,
            limits,
            images,
            metrics,
            folder,
            provenance,
            both_sides=config.both_sides,
            make=CachedMake(cache) if cache else make,
            workers=config.workers or usable_cores(),
            kept=KeptTrips(cache) if cache else None,
        )
    except KeyboardInterrupt:
        taken_up = "; the same command takes up where it was" if cache else ""
        sys.exit(f"interrupted: rows of the systems that were done are in {folder.root / PARTIAL}{taken_up}")
    data, limit = f"{source.name}, {config.split} split", config.page.max_bytes
    context = ReportContext(config.title, data, training, warnings, command=typed_command(), page_bytes=limit)
    write_results(rows, context, folder, panel)
    print_means(without_next_sizes(rows))
    log.info("report.html, report.md, table.md, panel.png and measurements (.csv, .parquet) in %s", folder.root)
    return rows


def check_request(config: DictConfig) -> None:
    """OptionError for what is known to be wrong before anything is loaded."""
    if OmegaConf.is_missing(config.data, "root"):
        raise OptionError("this data set needs its folder: data.root=FOLDER")
    for name, hint in PLAIN.items():
        check_value(name, OmegaConf.select(config, name), hint)
    check_known("split", [config.split], get_args(Split))
    check_coders(_listed(config.coders))
    check_known("reconstructions", [config.reconstructions], ["panel", "all"])
    check_known("classical", _listed(config.classical), list(config.codec))
    check_folder("weights.dir", config.weights.dir)
    check_file("weights.inception", config.weights.inception)
    check_output("output_dir", config.output_dir)
    if config.cache:
        check_output("cache", config.cache)
    check_scale(config.scale)
    check_positive("crop", config.crop)
    check_positive("num_images", config.num_images)
    check_positive("page.max_bytes", config.page.max_bytes)
    check_positive("workers", config.workers)
    if isinstance(config.match_to, int):
        check_positive("match_to", config.match_to)
    check_zoom("panel.zoom_x", config.panel.zoom_x)
    check_zoom("panel.zoom_y", config.panel.zoom_y)
    check_device(config.device)


def make_metrics(config: DictConfig, cache: ContentCache | None) -> Metrics:
    folder, inception, device = config.weights.dir, config.weights.inception, config.device
    known = MeasuredCache(cache, metrics_identity(folder, inception, device=device)) if cache else None
    of_set = partial(default_set_metrics, folder, inception, device=device)
    return Metrics(default_image_metrics(folder, device=device), of_set, known)


def find_images(
    config: DictConfig, source: ImageSource, codecs: Sequence[LabeledCodec]
) -> tuple[list[EvaluationImage], list[str]]:
    """The images to measure, and a sentence for each that is left out. OptionError where none is left."""
    files = source.files(config.split)[: config.num_images]
    if not isinstance(files, list):
        raise OptionError("data=shards is to train on: evaluate the photos that they were made of by data=folder")
    check = size_check([one.codec for one in codecs])
    images, left_out = evaluation_images(
        files, clahe=config.data.clahe, scale=config.scale, crop=config.crop, check_size=check
    )
    if not images:
        reasons = "".join(f"\n{reason}" for reason in left_out)
        raise OptionError(f"{source.name} has no images to measure in its split {config.split!r}{reasons}")
    return images, left_out


def panel_options(
    config: DictConfig,
    images: Sequence[EvaluationImage],
    learned: Sequence[str],
    references: Sequence[str],
    matched: Sequence[str],
) -> PanelOptions:
    """By default the first image, of the systems `references` and `matched`. OptionError on unknown names."""
    names = [image.name for image in images]
    shown, systems = _listed(config.panel.images), _listed(config.panel.systems)
    check_known("panel.images", shown, names)
    check_known("panel.systems", systems, [*learned, *matched])
    zoom = Zoom(config.panel.zoom_x, config.panel.zoom_y)
    return PanelOptions(shown or names[:1], systems or list(dict.fromkeys([*references, *matched])), zoom)


def _listed(value: Any) -> list[Any]:
    """A list, as which one value counts too, and null as none."""
    return list(value) if isinstance(value, ListConfig) else [] if value is None else [value]


def _facts(config: DictConfig, data: str) -> str:
    """What identifies the measurement, without the paths of this machine."""
    names = ("split", "num_images", "scale", "crop", "max_pixels", "workers")
    match_to = config.match_to if isinstance(config.match_to, int) else Path(config.match_to).name
    facts = {"data": data, "clahe": config.data.clahe, "match_to": match_to}
    return json.dumps({**facts, **{name: config[name] for name in names}})
