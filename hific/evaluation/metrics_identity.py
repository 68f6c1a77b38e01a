"""What the numbers of the metrics follow from beside the pixels."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

from hific.errors import WeightsNotFoundError
from hific.evaluation.content_cache import key_of, source_digest
from hific.evaluation.measurement import describe_device
from hific.io.file_digest import file_digest
from hific.metrics.frechet import cached_inception
from hific.metrics.program_metrics import program_versions
from hific.weights import WeightsName, find_weights

LIBRARIES = (
    "torch",
    "torchvision",
    "torchmetrics",
    "torch-fidelity",
    "piq",
    "lpips",
    "ssimulacra2",
    "scikit-image",
    "scipy",
    "numpy",
    "pillow",
)


def metrics_identity(
    weights_dir: str | Path | None = None, inception_weights: str | Path | None = None, *, device: str = "cpu"
) -> str:
    """Of `default_image_metrics` and `default_set_metrics`, given the same: code, libraries, networks and processor."""
    return key_of(
        {
            "source": source_digest("hific.metrics", "hific.programs", "hific.weights"),
            "libraries": {name: _version(name) for name in LIBRARIES},
            "weights": {name: _weights_digest(name, weights_dir) for name in get_args(WeightsName)},
            "inception": _digest_of(Path(inception_weights or cached_inception())),
            "programs": program_versions(),
            "device": describe_device(device),
            "processor": platform.machine(),
        }
    )


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _weights_digest(name: WeightsName, folder: str | Path | None) -> str | None:
    try:
        return _digest_of(find_weights(name, folder))
    except WeightsNotFoundError:
        return None


def _digest_of(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None
