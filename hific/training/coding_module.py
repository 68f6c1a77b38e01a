"""What callbacks and train.py ask of a module: that it reconstructs, and that its files' coding is fitted to photos.

And the least of such modules: a finished model that stays as it is, and to which only a context model and a post-filter
are fitted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DistributedSampler

from hific.codecs.learned_codec import LearnedCodec
from hific.codecs.load import checkpoint_entry, load_codec
from hific.errors import OptionError
from hific.fitting.coding import FittedCoding, Fitting, Photos, fit_over
from hific.ops.images import from_unit_range


def to_256_levels(image: Tensor) -> Tensor:
    """[0, 1] as an 8-bit file would hold it."""
    return (image.clamp(0, 1) * 255).round() / 255


class CodingModule(LightningModule, ABC):
    """name: the system's key in configuration and results; steps: batches to train; training_info: plain values that
    the checkpoint keeps."""

    steps: int

    def __init__(self, *, name: str, fitting: Fitting, training_info: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.name = name
        self.fitting = fitting
        self.training_info = dict(training_info or {})
        self._photo_weight = 1

    @abstractmethod
    def reconstruct(self, batch: Tensor) -> Tensor:
        """Images [B, 3, H, W] of any size in [0, 1] -> reconstructions at 256 levels, in [0, 1]."""

    @abstractmethod
    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        """Makes what files are coded with, when training has ended: tables from up to `num_photos` photos, a context
        model and a post-filter from as many as they ask for."""

    @abstractmethod
    def measure(self, batch: Tensor, stage: str) -> Tensor:
        """Logs what a whole photo [1, 3, H, W] in [0, 1] says of the model. Returns its reconstruction."""

    @property
    def all_weights_learn(self) -> bool:
        """In every batch, but for the adversary's: DDP then need not search each graph for those that do not."""
        return True

    def validation_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The reconstruction, which callbacks show and measure."""
        self._photo_weight = self._weight_of(batch_idx, self.trainer.val_dataloaders)
        return self.measure(batch, "val")

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self._photo_weight = self._weight_of(batch_idx, self.trainer.test_dataloaders)
        self.measure(batch, "test")

    def log_photo(self, name: str, value: Tensor, *, prog_bar: bool = False) -> None:
        """What is measured on one photo, for the mean over all photos of all ranks, each once."""
        self.log(name, value, prog_bar=prog_bar, sync_dist=True, batch_size=self._photo_weight)

    @staticmethod
    def _weight_of(batch_idx: int, loader: Any) -> int:
        """0 for a photo that a rank has only so that all have equally many; of others the number of ranks, since
        Lightning divides their sum by it, in integers."""
        sampler = getattr(loader, "sampler", None)
        if not isinstance(sampler, DistributedSampler):
            return 1
        place = batch_idx * sampler.num_replicas + sampler.rank
        return sampler.num_replicas * int(place < len(sampler.dataset))  # type: ignore[arg-type]

    def log_psnr(self, reconstruction: Tensor, batch: Tensor, stage: str) -> None:
        error = (reconstruction - batch).square().mean()
        psnr = -10 * torch.log10(error.clamp(min=1e-10))
        self.log_photo(f"{stage}/psnr", psnr, prog_bar=True)


class FittedModule(CodingModule):
    """The model of `base_checkpoint` with its tables, so that files of both hold the same symbols and pixels.

    Args:
        name: of the system that is made (`hific_xgboost`); its family is the base's.
        training_info: plain values that the checkpoint keeps, besides those of the base.

    Raises OptionError where there is nothing to fit. What the base has of a context model or a post-filter stays where
    none of its kind is fitted.
    """

    steps = 0  # nothing is trained

    def __init__(
        self,
        *,
        base_checkpoint: str | Path,
        name: str,
        fitting: Fitting,
        training_info: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name=name, fitting=fitting, training_info=training_info)
        if not fitting.info:
            raise OptionError(
                f"nothing to fit to base_checkpoint={base_checkpoint}: context_model=xgboost (or another) or "
                "postfilter=linear|xgboost is due"
            )
        self.base: LearnedCodec = load_codec(base_checkpoint)
        # Nothing learns here; but DDP refuses a module of which nothing could.
        self.model: Any = self.base.model.requires_grad_(True)
        self.fitted = FittedCoding(self.base.coding)

    def reconstruct(self, batch: Tensor) -> Tensor:
        pixels = self.base.reconstruct(from_unit_range(batch))
        return torch.from_numpy(pixels).to(batch.device).permute(2, 0, 1)[None].float() / 255

    @torch.no_grad()
    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        self.fitted = fit_over(self.model.eval(), self.base.coding, self.fitting, photos)

    def measure(self, batch: Tensor, stage: str) -> Tensor:
        reconstruction = self.reconstruct(batch)
        self.log_psnr(reconstruction, batch, stage)
        return reconstruction

    def configure_optimizers(self) -> list[Optimizer]:
        return []

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        raise OptionError("base_checkpoint stays as it is: no batches are trained with it")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        info = {**self.base.training, **self.training_info, **self.fitting.info, **self.fitted.info}
        info["base"] = self.base.fingerprint.hex()
        checkpoint["hific"] = checkpoint_entry(self.name, self.model, self.fitted.coding, info)


def check_same_system(module: FittedModule, expected: Mapping[str, Any], option: str) -> None:
    """Raises OptionError where the base is another system than the configuration's `model.model`: of another class, or
    with other parts. Numbers are the base's own: those that the configuration takes from elsewhere do not count."""
    model = module.base.model
    kind = f"{type(model).__module__}.{type(model).__name__}"
    parts = {key: value for key, value in expected.items() if "${" not in str(value)}
    theirs = {"_target_": kind, **model.arguments}
    different = [
        f"{key} {theirs.get(key)} there, {value} here" for key, value in parts.items() if theirs.get(key) != value
    ]
    if different:
        raise OptionError(
            f"{option} is of {module.base.name}, another system ({'; '.join(different)}): choose its model="
        )
