"""A finished model that stays as it is, and to which only a context model and a post-filter are fitted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hific.codecs.families import AnyCodec
from hific.codecs.load import checkpoint_entry, load_codec
from hific.errors import OptionError
from hific.models.compressnet import CompressNet
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder
from hific.training.coding_module import CodingModule
from hific.training.compressnet_coding import fit_compressnet_coding, reconstruct_compressnet
from hific.training.compressnet_module import check_compressnet_fitting
from hific.training.fitting import FittedCoding, Fitting, Photos
from hific.training.hific_coding import fit_hific_coding, reconstruct_hific


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
        self.base: AnyCodec = load_codec(base_checkpoint)
        if isinstance(self.base.model, CompressNet):
            check_compressnet_fitting(fitting)
        # Nothing learns here; but DDP refuses a module of which nothing could.
        self.model: Any = self.base.model.requires_grad_(True)
        self.fitted = FittedCoding(self.base.coding_tables)

    def reconstruct(self, batch: Tensor) -> Tensor:
        if isinstance(self.model, HyperpriorAutoencoder):
            return reconstruct_hific(self.model, self.model.synthesis, batch)
        return reconstruct_compressnet(self.model, batch)

    @torch.no_grad()
    def fit_coding(self, photos: Photos, num_photos: int) -> None:
        coding: Any = self.base.coding_tables
        self.model.eval()
        if isinstance(self.model, HyperpriorAutoencoder):
            self.fitted = fit_hific_coding(self.fitting, self.model, self.model.synthesis, coding, photos)
        else:
            self.fitted = fit_compressnet_coding(self.fitting, self.model, coding, photos)

    def measure(self, batch: Tensor, stage: str) -> None:
        self.log_psnr(self.reconstruct(batch), batch, stage)

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
