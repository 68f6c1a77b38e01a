"""What untrained networks of HiFiC begin as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from hific.errors import OptionError
from hific.models.hyperprior_autoencoder import HyperpriorAutoencoder

InitializationKind = Literal["random", "klt", "lapped"]


@dataclass(frozen=True)
class Initialization:
    """`random`; `klt`: a linear transform coder of blocks (networks/klt_initialization.py); `lapped`: the same with
    overlapping blocks, fitted to `num_photos` whole training photos in `steps` steps (models/lapped_initialization.py).
    """

    kind: InitializationKind = "random"
    num_photos: int = 96
    steps: int = 400

    def __post_init__(self) -> None:
        if self.kind not in get_args(InitializationKind):
            raise OptionError(f"initialization={self.kind!r} is none of {', '.join(get_args(InitializationKind))}")
        if self.num_photos < 1 or self.steps < 1:
            raise OptionError(f"initialization: num_photos={self.num_photos} and steps={self.steps} are 1 or more")

    def prepare(self, model: HyperpriorAutoencoder) -> None:
        """All but what is fitted to photos, in place."""
        if self.kind != "random":
            model.initialize_klt()
