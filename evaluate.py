"""Measures checkpoints and classical codecs over a data set. `python evaluate.py --help` lists the options."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, MissingMandatoryValue, OmegaConf

from hific.codecs.compressnet_codec import CompressNetCodec, SwitchSource
from hific.codecs.families import AnyCodec
from hific.codecs.hyperprior_codec import HyperpriorCodec
from hific.codecs.load import load_codec
from hific.coding.container import CODINGS
from hific.data.source import ImageSource, Split
from hific.errors import (
    OptionError,
    WeightsNotFoundError,
    exit_on_user_error,
)
from hific.evaluation.console import print_means
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.images import SizeLimit, evaluation_images
from hific.evaluation.match_rate import CodecFamily
from hific.evaluation.measurement import Measurement
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.panel import Zoom
from hific.evaluation.provenance import find_provenance
from hific.evaluation.report import ReportContext, training_warnings
from hific.evaluation.request import check_device, check_file, check_folder, check_known
from hific.evaluation.run import PanelOptions, matched_name, measure_all, write_results
from hific.evaluation.systems import FixedSystem, Pixels, Setup, oracle
from hific.losses.switch_prediction import switch_accuracy
from hific.metrics.default import default_image_metrics, default_set_metrics
from hific.ops.padding import pad_to_multiple
from hific.weights import WeightsName, find_weights

log = logging.getLogger("evaluate")
LAST_CODING = "last"
SWITCH_CONTROLS: tuple[SwitchSource, ...] = ("top_left", "random")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint under the label that tables give it."""

    label: str
    codec: AnyCodec

    def codings(self, wanted: Sequence[str]) -> list[str]:
        """Those of `wanted` that its files can have, in that order; all that there are where none is wanted. `last` is
        its last."""
        if list(wanted) == [LAST_CODING]:
            return [self.codec.codings[-1]]
        return [coding for coding in wanted or self.codec.codings if coding in self.codec.codings]


def load_checkpoints(config: DictConfig) -> list[Checkpoint]:
    """In the order of `config.checkpoint`. Raises CheckpointError, and OptionError if `config.names` does not fit."""
    paths = _listed(config.checkpoint)
    codecs = [load_codec(path, max_pixels=config.max_pixels, device=config.device) for path in paths]
    labels = list(config.names) if config.names else [codec.name for codec in codecs]
    if len(labels) != len(codecs) or len(set(labels)) < len(labels):
        raise OptionError(f"{len(codecs)} checkpoints are called {labels}: give each a name of its own by names=[...]")
    return [Checkpoint(*one) for one in zip(labels, codecs, strict=True)]


def checkpoint_systems(checkpoint: Checkpoint, codings: Sequence[str], *, controls: bool) -> list[FixedSystem]:
    """One a coding; the last coding also with what only its kind of model has: refinement, switch controls."""
    codec = checkpoint.codec
    if isinstance(codec, HyperpriorCodec):
        return hific_systems(checkpoint.label, codec, codings)
    systems = [_system(checkpoint.label, codec.with_options(coding=coding)) for coding in codings]
    name, setup = systems[-1].name, systems[-1].fixed
    if codec.model.switches != "predicted":
        return systems
    accuracy = partial(predicted_switch_accuracy, codec)
    systems[-1] = FixedSystem(name, replace(setup, extra_metrics=accuracy))
    if controls:
        systems += [
            _system(checkpoint.label, codec.with_options(coding=codings[-1], switch_source=source))
            for source in SWITCH_CONTROLS
        ]
        systems.append(oracle(f"{name}, oracle switches", setup, codec.oracle_reconstruction, knows="oracle switches"))
    return systems


def hific_systems(label: str, codec: HyperpriorCodec, codings: Sequence[str]) -> list[FixedSystem]:
    """One a coding, with pixels as the synthesis made them; the last coding also refined, where the model does that."""
    *others, last = (_system(label, codec.with_options(coding=coding, refine=False)) for coding in codings)
    systems = [*others, replace(last, fixed=replace(last.fixed, extra_metrics=partial(estimated_bpp, codec)))]
    if codec.refinement is not None:
        refined = codec.with_options(coding=codings[-1], refine=True)
        found = _system(label, refined)
        systems.append(replace(found, fixed=replace(found.fixed, extra_metrics=partial(refined_share, refined))))
    return systems


def refined_share(codec: HyperpriorCodec, pixels: Pixels) -> dict[str, float]:
    """Of the tiles of the image's file."""
    return {"refined_share": codec.refined_share(codec.compress(pixels))}


def estimated_bpp(codec: HyperpriorCodec, pixels: Pixels) -> dict[str, float]:
    """From the likelihoods of the rounded latents; `bpp` is of the file."""
    return {"estimated_bpp": codec.estimated_bpp(pixels)}


@torch.inference_mode()
def predicted_switch_accuracy(codec: CompressNetCodec, pixels: Pixels) -> dict[str, float]:
    """Share of the un-tied windows of scale 1 whose switch is predicted as the encoder has it; chance is .25."""
    model = codec.model
    device = next(model.parameters()).device
    image = torch.tensor(pixels, device=device).permute(2, 0, 1)[None].float() / 127.5 - 1
    output = model(pad_to_multiple(image, model.stride, model.minimum_size))
    assert output.synthesis.predicted_switches is not None
    accuracy = switch_accuracy(
        output.synthesis.predicted_switches, output.analysis.switches[0], output.analysis.tied[0]
    )
    return {"switch_accuracy": float(accuracy)}


def evaluate(config: DictConfig) -> list[Measurement]:
    """Runs the composed configuration: rows, and the folder `config.output_dir` full of results.

    Whatever is asked for and not there is a OptionError before anything is coded."""
    check_request(config)
    source = instantiate(config.data.source)
    families = [instantiate(config.codec[name]) for name in _listed(config.classical)]
    checkpoints = load_checkpoints(config)
    images, left_out = find_images(config, source, checkpoints)
    codings = [codings_wanted(config, one) for one in checkpoints]
    learned = [
        system
        for one, of_one in zip(checkpoints, codings, strict=True)
        for system in checkpoint_systems(one, of_one, controls=config.controls)
    ]
    references = [f"{one.label}, {of_one[-1]}" for one, of_one in zip(checkpoints, codings, strict=True)]
    limits = byte_limits_wanted(config.match_to, references, [image.name for image in images])
    matched = _matched_names(families, limits)
    panel = panel_options(config, images, [one.name for one in learned], references, matched)
    training = {one.label: {**one.codec.training, "fingerprint": one.codec.fingerprint.hex()} for one in checkpoints}
    warnings = [*training_warnings(training), *left_out, *weights_warnings(config.weights.dir)]
    for warning in warnings:
        log.warning(warning)
    folder = EvaluationFolder(Path(config.output_dir), keep=set(panel.images))
    rows = measure_all(
        learned,
        families,
        limits,
        images,
        Metrics(
            default_image_metrics(config.weights.dir, device=config.device),
            partial(default_set_metrics, config.weights.dir, config.weights.inception, device=config.device),
        ),
        folder,
        find_provenance(device=config.device, config=_facts(config, source.name)),
    )
    context = ReportContext(config.title, f"{source.name}, {config.split} split", training, warnings)
    write_results(rows, context, folder, panel)
    print_means(rows)
    log.info("report.md, table.md, panel.png and measurements (.csv, .parquet) in %s", folder.root)
    return rows


def check_request(config: DictConfig) -> None:
    """OptionError for what is known to be wrong before anything is loaded."""
    if OmegaConf.is_missing(config.data, "root"):
        raise OptionError("this data set needs its folder: data.root=FOLDER")
    check_known("split", [config.split], get_args(Split))
    all_codings = [coding for of_codec in CODINGS.values() for coding in of_codec]
    if config.codings != LAST_CODING:
        check_known("codings", _listed(config.codings), all_codings)
    if config.codings is not None and not _listed(config.codings):
        raise OptionError(f"codings=[]: name at least one of {', '.join(all_codings)}, or last, or null for all")
    check_known("classical", _listed(config.classical), list(config.codec))
    check_folder("weights.dir", config.weights.dir)
    check_file("weights.inception", config.weights.inception)
    check_device(config.device)


def find_images(
    config: DictConfig, source: ImageSource, checkpoints: Sequence[Checkpoint]
) -> tuple[list[EvaluationImage], list[str]]:
    """The images to measure, and a sentence for each that is left out. OptionError where none is left."""
    limit = None
    if checkpoints:
        codec = min((one.codec for one in checkpoints), key=lambda codec: codec.max_pixels)
        limit = SizeLimit(codec.max_pixels, codec.model.stride, codec.model.minimum_size)
    files = source.files(config.split)[: config.num_images]
    images, left_out = evaluation_images(files, clahe=config.data.clahe, crop=config.crop, limit=limit)
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


def weights_warnings(folder: str | None) -> list[str]:
    """A sentence where a folder was given and none of its files is found by name."""
    if not folder:
        return []
    own = Path(folder).expanduser()
    for name in get_args(WeightsName):
        try:
            if find_weights(name, own).parent == own:
                return []
        except WeightsNotFoundError:
            continue
    names = ", ".join(f"{name}.pth" for name in get_args(WeightsName))
    return [f"weights.dir={folder} holds no pretrained weights under the names that are looked for, such as {names}."]


def byte_limits_wanted(
    match_to: str | int, references: Sequence[str], images: Sequence[str]
) -> Mapping[str, int] | Sequence[str]:
    """What `measure_all` takes for its limits."""
    if isinstance(match_to, int):
        return dict.fromkeys(images, match_to)
    if match_to not in ("first", "each"):
        raise OptionError(f"match_to={match_to}: it is first, each or a number of bytes")
    if not references:
        raise OptionError("there is no checkpoint to match bytes to: give checkpoint=... or match_to=BYTES")
    return references[:1] if match_to == "first" else references


def _matched_names(families: Sequence[CodecFamily], limits: Mapping[str, int] | Sequence[str]) -> list[str]:
    labels = [""] if isinstance(limits, Mapping) else limits
    return [matched_name(family, label, len(labels)) for label in labels for family in families]


def _listed(value: Any) -> list[Any]:
    """A list, as which one value counts too, and null as none."""
    return list(value) if isinstance(value, ListConfig) else [] if value is None else [value]


def codings_wanted(config: DictConfig, checkpoint: Checkpoint) -> list[str]:
    """OptionError where the checkpoint has none of those asked for."""
    codings = checkpoint.codings(_listed(config.codings))
    if not codings:
        known = ", ".join(checkpoint.codec.codings)
        raise OptionError(f"codings={_listed(config.codings)}: {checkpoint.label} has {known}")
    return codings


def _system(label: str, codec: AnyCodec) -> FixedSystem:
    return FixedSystem(f"{label}, {codec.setting}", Setup(codec, fingerprint=codec.fingerprint.hex()))


def _facts(config: DictConfig, data: str) -> str:
    """What identifies the measurement, without the paths of this machine."""
    names = ("split", "num_images", "crop", "match_to", "max_pixels")
    return json.dumps({"data": data, "clahe": config.data.clahe, **{name: config[name] for name in names}})


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    with exit_on_user_error(MissingMandatoryValue):
        evaluate(config)


if __name__ == "__main__":
    main()
