"""Starting from another run's weights."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hific.errors import OptionError
from hific.io.checkpoint_file import DAMAGE

log = logging.getLogger(__name__)


def load_matching_weights(module: nn.Module, path: str | Path) -> None:
    """Loads the weights of equal name and shape from a checkpoint; optimizers and counters start anew.

    What does not fit (another rate's latent convolutions, say) keeps its fresh initialization and is logged by name.

    Raises:
        OptionError: there is no such file, or not one weight fits.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = checkpoint["state_dict"]
    except FileNotFoundError:
        raise OptionError(f"init_from={path}: there is no such file") from None
    except (pickle.UnpicklingError, *DAMAGE) as error:
        raise OptionError(f"init_from={path} is damaged, or no checkpoint") from error
    own = module.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if len(fitting) < len(own) / 2:
        log.warning("init_from=%s is of a very different model: most weights start afresh", path)
    if not fitting:
        raise OptionError(f"init_from={path}: none of its {len(state)} weights has a place in this model")
    module.load_state_dict(fitting, strict=False)
    fresh = sorted(set(own) - set(fitting))
    log.info("took %d of %d weights from %s; fresh: %s", len(fitting), len(own), path, ", ".join(fresh) or "none")
