"""HiFiC: learned image compression that writes real files; `hific.load_codec("model.ckpt")` is the way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hific.codecs.load import CheckpointError, load_codec
    from hific.coding.errors import BitstreamError

__version__ = "0.1.0"
__all__ = ["BitstreamError", "CheckpointError", "__version__", "load_codec"]


def __getattr__(name: str) -> Any:
    # Loading a codec imports torch, which takes seconds; `hific --help` and `hific info` must not pay for it.
    if name == "load_codec":
        from hific.codecs.load import load_codec

        return load_codec
    if name == "CheckpointError":
        from hific.codecs.load import CheckpointError

        return CheckpointError
    if name == "BitstreamError":
        from hific.coding.errors import BitstreamError

        return BitstreamError
    raise AttributeError(f"module 'hific' has no attribute {name!r}")
