"""Measures checkpoints and classical codecs over a data set. `python evaluate.py --help` lists the options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, MissingMandatoryValue, OmegaConf

from hific.codecs.compressnet_codec import CompressNetCodec, SwitchSource
from hific.codecs.compressnet_coding import Coding
from hific.codecs.load import CheckpointError, load_codec
from hific.data.source import DataNotFoundError
from hific.evaluation.folder import EvaluationFolder
from hific.evaluation.images import evaluation_images
from hific.evaluation.measurement import Measurement
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.panel import Zoom
from hific.evaluation.provenance import find_provenance
from hific.evaluation.report import ReportContext, training_warnings
from hific.evaluation.run import PanelOptions, measure_all, write_results
from hific.evaluation.systems import FixedSystem, Pixels, Setup, oracle
from hific.losses.switch_prediction import switch_accuracy
from hific.metrics.default import default_image_metrics, default_set_metrics
from hific.ops.padding import pad_to_multiple
from hific.user_errors import told_in_a_line
from hific.weights import WeightsFileError

SWITCH_CONTROLS: tuple[SwitchSource, ...] = ("top_left", "random")


class RequestError(ValueError):
    """What was asked for cannot be measured; says what to ask instead."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint under the label that tables give it; `training`: what it says of its run."""

    label: str
    codec: CompressNetCodec
    training: Mapping[str, Any]


def load_checkpoints(config: DictConfig) -> list[Checkpoint]:
    """In the order of `config.checkpoint`. Raises CheckpointError, and RequestError if `config.names` does not fit."""
    paths = config.checkpoint if isinstance(config.checkpoint, ListConfig) else [config.checkpoint]
    codecs = [load_codec(path, max_pixels=config.max_pixels, device=config.device) for path in paths if path]
    labels = list(config.names) if config.names else [codec.name for codec in codecs]
    if len(labels) != len(codecs) or len(set(labels)) < len(labels):
        raise RequestError(f"{len(codecs)} checkpoints are called {labels}: give each a name of its own by names=[...]")
    training = [_training_info(path) for path in paths if path]
    return [Checkpoint(*one) for one in zip(labels, codecs, training, strict=True)]


def checkpoint_systems(checkpoint: Checkpoint, codings: Sequence[Coding], *, controls: bool) -> list[FixedSystem]:
    """One a coding; the last coding also with the controls, where the model predicts its switches."""
    systems = [_system(checkpoint, coding) for coding in codings]
    if checkpoint.codec.model.switches != "predicted":
        return systems
    name, setup = systems[-1].name, systems[-1].fixed
    accuracy = partial(predicted_switch_accuracy, checkpoint.codec)
    systems[-1] = FixedSystem(name, replace(setup, extra_metrics=accuracy))
    if controls:
        systems += [_system(checkpoint, codings[-1], source) for source in SWITCH_CONTROLS]
        systems.append(oracle(f"{name}, oracle switches", setup, checkpoint.codec.oracle_reconstruction))
    return systems


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
    """Runs the composed configuration: rows, and the folder `config.output_dir` full of results."""
    if OmegaConf.is_missing(config.data, "root"):
        raise RequestError("this data set needs its folder: data.root=FOLDER")
    source = instantiate(config.data.source)
    files = source.files(config.split)[: config.num_images]
    images, warnings = evaluation_images(files, clahe=config.data.clahe, crop=config.crop)
    if not images:
        raise RequestError(f"{source.name} has no images to measure in its split {config.split!r}")
    checkpoints = load_checkpoints(config)
    by_checkpoint = [checkpoint_systems(one, config.codings, controls=config.controls) for one in checkpoints]
    references = [f"{one.label}, {config.codings[-1]}" for one in checkpoints]
    panel_images = list(config.panel.images or [images[0].name])
    folder = EvaluationFolder(Path(config.output_dir), keep=set(panel_images))
    rows = measure_all(
        [system for systems in by_checkpoint for system in systems],
        [instantiate(config.codec[name]) for name in config.classical],
        byte_limits_wanted(config.match_to, references, [image.name for image in images]),
        images,
        Metrics(
            default_image_metrics(config.weights.dir, device=config.device),
            partial(default_set_metrics, config.weights.dir, config.weights.inception, device=config.device),
        ),
        folder,
        find_provenance(device=config.device, config=_facts(config, source.name)),
    )
    training = {one.label: {**one.training, "fingerprint": one.codec.fingerprint.hex()} for one in checkpoints}
    context = ReportContext(
        config.title, f"{source.name}, {config.split} split", training, [*warnings, *training_warnings(training)]
    )
    shown = config.panel.systems or [*references, *(row.system for row in rows if row.max_bytes is not None)]
    zoom = Zoom(config.panel.zoom_x, config.panel.zoom_y)
    write_results(rows, context, folder, PanelOptions(panel_images, list(dict.fromkeys(shown)), zoom))
    return rows


def byte_limits_wanted(
    match_to: str | int, references: Sequence[str], images: Sequence[str]
) -> Mapping[str, int] | Sequence[str]:
    """What `measure_all` takes for its limits."""
    if isinstance(match_to, int):
        return dict.fromkeys(images, match_to)
    if match_to not in ("first", "each"):
        raise RequestError(f"match_to={match_to}: it is first, each or a number of bytes")
    if not references:
        raise RequestError("there is no checkpoint to match bytes to: give checkpoint=... or match_to=BYTES")
    return references[:1] if match_to == "first" else references


def _system(checkpoint: Checkpoint, coding: Coding, switch_source: SwitchSource = "predicted") -> FixedSystem:
    base = checkpoint.codec
    codec = CompressNetCodec(
        base.model,
        base.coding_tables,
        base.fingerprint,
        name=base.name,
        coding=coding,
        switch_source=switch_source,
        max_pixels=base.max_pixels,
    )
    return FixedSystem(f"{checkpoint.label}, {codec.setting}", Setup(codec, fingerprint=base.fingerprint.hex()))


def _training_info(path: str) -> dict[str, Any]:
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["hific"]["training"])


def _facts(config: DictConfig, data: str) -> str:
    """What identifies the measurement, without the paths of this machine."""
    names = ("split", "num_images", "crop", "match_to", "max_pixels")
    return json.dumps({"data": data, "clahe": config.data.clahe, **{name: config[name] for name in names}})


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(config: DictConfig) -> None:
    with told_in_a_line(CheckpointError, DataNotFoundError, MissingMandatoryValue, RequestError, WeightsFileError):
        evaluate(config)


if __name__ == "__main__":
    main()
