"""Files of classical codecs that were made in an earlier evaluation.

Searching a data set at AVIF's slow speeds or x265's takes minutes, and gives the same files each time. A file is known
by the pixels, the codec with all of its options and its version. The seconds that come with it are those that were
measured when it was made.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version
from typing import Any

from hific.codecs.base import ImageLike, as_rgb8
from hific.evaluation.content_cache import ContentCache, Entry, key_of, source_digest
from hific.evaluation.rate_search import CodecFamily, Made, ScaledCodec, make

KIND = "encoded"
SHARED = ("hific.codecs.pillow_codecs", "hific.programs")
"""What codecs use beside their own module: scaling, and how programs are run."""


@dataclass(frozen=True)
class CachedMake:
    """As `rate_search.make`, from the cache where the file is there."""

    cache: ContentCache

    def __call__(self, family: CodecFamily, codec: ScaledCodec, image: ImageLike) -> Made:
        if not is_dataclass(codec):
            return make(family, codec, image)  # nobody knows all of its options
        identity = codec_identity(family, codec)
        key = key_of({**identity, "pixels": pixels_digest(image)})
        if entry := self.cache.read(KIND, key):
            return Made(entry.data, entry.facts["seconds"])
        made = make(family, codec, image)
        self.cache.write(KIND, key, Entry({**identity, "seconds": made.seconds}, made.data))
        return made


def codec_identity(family: CodecFamily, codec: ScaledCodec) -> dict[str, Any]:
    """All that its files follow from beside the pixels. The processor is part of it: encoders have other code for
    each."""
    kind = type(codec)
    options = {name: repr(value) for name, value in asdict(codec).items()}  # type: ignore[call-overload]
    return {
        "codec": f"{kind.__module__}.{kind.__qualname__}",
        "options": options,
        "version": family.version,
        "source": source_digest(kind.__module__, *SHARED),
        "pillow": version("pillow"),  # which scales, and brings encoders along
        "processor": platform.machine(),
    }


def pixels_digest(image: ImageLike) -> str:
    """SHA-256 of size and pixels."""
    pixels = as_rgb8(image)
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode() + pixels.tobytes()).hexdigest()
