"""From an image to its file and back, or what is kept of that from an evaluation that was interrupted.

pixels ─ compress ─ bytes ─ store and read back ─ decompress ─ reconstruction
   └──────────── kept, where a spec says what all of it follows from ───────┘
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Protocol

import numpy as np
from PIL import Image

from hific.evaluation.cached_files import pixels_digest
from hific.evaluation.codecs_under_test import EncodeSpec, Pixels
from hific.evaluation.content_cache import ContentCache, Entry, key_of
from hific.evaluation.rate_search import Made

KIND = "round_trips"


class Store(Protocol):
    """Where files go between compressing and decompressing."""

    def put(self, system: str, image: str, extension: str, data: bytes) -> bytes:
        """Keeps the file and gives back what was kept."""

    def put_reconstruction(self, system: str, image: str, pixels: Pixels) -> None: ...


@dataclass(frozen=True)
class RoundTrip:
    """`extra`: what `EncodeSpec.extra_metrics` says."""

    data: bytes
    reconstruction: Pixels
    encode_seconds: float
    decode_seconds: float | None
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptTrips:
    """Of specs that have an identity: files, reconstructions and times of images that were done."""

    cache: ContentCache

    def find(self, spec: EncodeSpec, pixels: Pixels) -> RoundTrip | None:
        entry = self.cache.read(KIND, self._key(spec, pixels)) if spec.identity else None
        if entry is None:
            return None
        split = entry.facts["num_bytes"]
        with Image.open(BytesIO(entry.data[split:])) as opened:
            reconstruction = np.asarray(opened.convert("RGB"))
        seconds = (entry.facts["encode_seconds"], entry.facts["decode_seconds"])
        return RoundTrip(entry.data[:split], reconstruction, *seconds, entry.facts["extra"])

    def keep(self, spec: EncodeSpec, pixels: Pixels, trip: RoundTrip) -> None:
        if not spec.identity:
            return
        png = BytesIO()
        Image.fromarray(trip.reconstruction).save(png, "PNG")
        facts = {
            "num_bytes": len(trip.data),
            "encode_seconds": trip.encode_seconds,
            "decode_seconds": trip.decode_seconds,
            "extra": dict(trip.extra),
        }
        self.cache.write(KIND, self._key(spec, pixels), Entry(facts, trip.data + png.getvalue()))

    def _key(self, spec: EncodeSpec, pixels: Pixels) -> str:
        return key_of({"identity": spec.identity, "pixels": pixels_digest(pixels)})


def round_trip(
    spec: EncodeSpec, pixels: Pixels, system: str, image: str, store: Store, kept: KeptTrips | None = None
) -> RoundTrip:
    """ValueError on a reconstruction of another size."""
    found = kept.find(spec, pixels) if kept else None
    if found is not None and store.put(system, image, spec.codec.extension, found.data) == found.data:
        store.put_reconstruction(system, image, found.reconstruction)
        return found
    trip = _made(spec, pixels, system, image, store)
    if kept:
        kept.keep(spec, pixels, trip)
    return trip


def reconstruct(spec: EncodeSpec, pixels: Pixels, data: bytes) -> Pixels:
    decoded: Image.Image = spec.reconstruct(pixels) if spec.reconstruct else spec.codec.decompress(data)
    return np.asarray(decoded.convert("RGB"))


def _made(spec: EncodeSpec, pixels: Pixels, system: str, image: str, store: Store) -> RoundTrip:
    made = spec.made
    if made is None:
        start = time.perf_counter()
        made = Made(spec.codec.compress(pixels), time.perf_counter() - start)
    data = store.put(system, image, spec.codec.extension, made.data)
    start = time.perf_counter()
    reconstruction = reconstruct(spec, pixels, data)
    seconds = time.perf_counter() - start
    if reconstruction.shape != pixels.shape:
        raise ValueError(f"{system}: {spec.codec.name} made {reconstruction.shape} of an image of {pixels.shape}")
    store.put_reconstruction(system, image, reconstruction)
    extra = spec.extra_metrics(pixels) if spec.extra_metrics else {}
    # What an oracle takes is not the time of a decoder.
    return RoundTrip(data, reconstruction, made.seconds, None if spec.reconstruct else seconds, extra)
