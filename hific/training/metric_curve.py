"""Metrics of a fixed set of photos while a model is trained: the rows of figures 6 and 7 of the source paper."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from io import StringIO
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hific.errors import OptionError
from hific.io.write_whole import write_whole
from hific.metrics.image_metric import Absent, ImageMetric, SetMetric
from hific.ops.images import from_unit_range

WHOLE_SET = "(all)"
FILE = "curve.csv"


@dataclass(frozen=True)
class CurveRow:
    """epochs: that are trained, with parts of one; value: None where the metric is absent, for the reason `absent`."""

    batches: int
    epochs: float
    image: str
    metric: str
    value: float | None
    absent: str = ""


class MetricCurve(Callback):
    """After each validation PSNR and the paper's perceptual loss of the first photos of the validation split, and FID,
    KID and `fd_alexnet` of all of them together: rows in `dirpath`/curve.csv, which a resumed run goes on with.

    Args:
        num_images: photos, those that the first rank validates on; 0 for none.
        weights_dir: of AlexNet; what is not found is absent, with the reason.
        inception: torch-fidelity's file, for FID and KID, which take 2048 patches of 256x256 (metrics/frechet.py).

    OptionError for a negative number.
    """

    def __init__(
        self,
        dirpath: str | Path,
        num_images: int = 8,
        weights_dir: str | None = None,
        inception: str | None = None,
    ) -> None:
        if num_images < 0:
            raise OptionError(f"callbacks.curve.num_images={num_images} must be 0 or more")
        if inception is not None and not Path(inception).is_file():
            raise OptionError(f"callbacks.curve.inception={inception}: there is no such file")
        self.path = Path(dirpath) / FILE
        self.num_images, self.weights_dir, self.inception = num_images, weights_dir, inception
        self._rows: list[CurveRow] = []
        self._seen = 0
        self._of_image: list[ImageMetric] = []
        self._of_set: list[SetMetric] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes up the rows of the batches that are behind a resumed run, and none of another run's."""
        known = read_curve(self.path) if trainer.global_step and self.path.is_file() else []
        self._rows = [row for row in known if row.batches <= trainer.global_step]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen = 0
        if self._is_off(trainer):
            return
        # Their libraries take seconds to import.
        from hific.metrics.default import default_set_metrics
        from hific.metrics.fidelity import PSNR
        from hific.metrics.perceptual import PerceptualLoss

        self._rows = [row for row in self._rows if row.batches != trainer.global_step]
        if not self._of_image:
            self._of_image = [PSNR(), PerceptualLoss(self.weights_dir, device=pl_module.device)]
        self._of_set = default_set_metrics(self.weights_dir, self.inception, device=pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Tensor,  # type: ignore[override]
        batch: Tensor,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._is_off(trainer) or self._seen >= self.num_images:
            return
        self._seen += 1
        image, reconstruction = from_unit_range(batch), from_unit_range(outputs)
        for metric in self._of_image:
            self._add(trainer, f"{dataloader_idx}:{batch_idx}", metric.name, metric(image, reconstruction))
        for of_set in self._of_set:
            of_set.update(image, reconstruction)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._is_off(trainer) or not self._seen:
            return
        for of_set in self._of_set:
            for name, value in of_set.compute().items():
                self._add(trainer, WHOLE_SET, name, value)
        write_whole(self.path, _to_csv(self._rows))

    def _is_off(self, trainer: Trainer) -> bool:
        outside = trainer.sanity_checking or trainer.fast_dev_run  # type: ignore[attr-defined]
        return not self.num_images or outside or not trainer.is_global_zero

    def _add(self, trainer: Trainer, image: str, metric: str, value: float | Absent) -> None:
        measured, reason = (None, value.reason) if isinstance(value, Absent) else (value, "")
        epochs = round(trainer.global_step / trainer.num_training_batches, 4)
        self._rows.append(CurveRow(trainer.global_step, epochs, image, metric, measured, reason))


def read_curve(path: Path) -> list[CurveRow]:
    """OptionError where it is not such a file."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_row(line) for line in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{path} is not what a training writes ({error})") from error


def _row(line: dict[str, str]) -> CurveRow:
    value = float(line["value"]) if line["value"] else None
    return CurveRow(int(line["batches"]), float(line["epochs"]), line["image"], line["metric"], value, line["absent"])


def _to_csv(rows: list[CurveRow]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([one.name for one in fields(CurveRow)])
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()
