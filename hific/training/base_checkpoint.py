"""A trained model that stays as it is, and to which only predictors are fitted."""

from __future__ import annotations

from typing import Any

from hific.codecs.families import AnyCodec
from hific.codecs.load import load_codec
from hific.errors import OptionError


def load_base(path: str, model: Any) -> AnyCodec:
    """The codec of a checkpoint, whose weights `model` takes over. OptionError where it is of another kind or size."""
    codec = load_codec(path)
    if type(codec.model) is not type(model) or codec.model.arguments != model.arguments:
        raise OptionError(
            f"base_checkpoint={path} is of another model or size ({codec.name}): choose model=, rate=, size= and "
            "model.model.* as it"
        )
    model.load_state_dict(codec.model.state_dict())
    return codec
