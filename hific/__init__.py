"""HiFiC: learned image compression that writes real files; `hific.load_codec("model.ckpt")` is the way in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hific.codecs.codec_set import CodecSet
    from hific.codecs.load import load_codec
    from hific.errors import BitstreamError, CheckpointError, HificError, NoFileFitsError

__version__ = "0.1.0"
__all__ = [
    "BitstreamError",
    "CheckpointError",
    "CodecSet",
    "HificError",
    "NoFileFitsError",
    "__version__",
    "load_codec",
]

_MODULES = {
    "BitstreamError": "hific.errors",
    "CheckpointError": "hific.errors",
    "CodecSet": "hific.codecs.codec_set",
    "HificError": "hific.errors",
    "NoFileFitsError": "hific.errors",
    "load_codec": "hific.codecs.load",
}


def __getattr__(name: str) -> Any:
    # Loading a codec imports torch, which takes seconds; `hific --help` and `hific info` must not pay for it.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'hific' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__]
