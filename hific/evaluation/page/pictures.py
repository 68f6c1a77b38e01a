"""Kept reconstructions as data URIs, within a number of characters: exactly as decoded where they fit, else in AVIF of
high quality with the deviation said, else left out and counted."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import Image

from hific.evaluation.codecs_under_test import Pixels
from hific.evaluation.equal_bytes import without_next_sizes
from hific.evaluation.folder import ORIGINAL, EvaluationFolder
from hific.evaluation.measurement import Measurement, systems

NEAR_LOSSLESS_QUALITY = 95


@dataclass(frozen=True)
class KeptImage:
    """Size, and by system (ORIGINAL among them) the place of its picture in `Pictures.uris`."""

    name: str
    width: int
    height: int
    pictures: dict[str, int]


@dataclass(frozen=True)
class Pictures:
    """Args:
    uris: each different picture once: latent coders of one model decode to the same pixels.
    mean_deviation, max_deviation: of what is shown from what was decoded, in levels of 255; 0 where it is lossless.
    left_out: names of images that were kept and did not fit.
    """

    images: tuple[KeptImage, ...] = ()
    uris: tuple[str, ...] = ()
    mean_deviation: float = 0.0
    max_deviation: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Encoded:
    uri: str
    mean_deviation: float = 0.0
    max_deviation: int = 0


Encode = Callable[[Pixels], _Encoded]


def embed_pictures(rows: Sequence[Measurement], folder: EvaluationFolder, max_chars: int) -> Pictures:
    """Of the images of which the original and a reconstruction are in `folder`, in the order of the rows."""
    kept = list(_kept(rows, folder))
    lossless = _embed(kept, folder, max_chars, _lossless)
    return _embed(kept, folder, max_chars, _near_lossless) if lossless.left_out else lossless


def _kept(rows: Sequence[Measurement], folder: EvaluationFolder) -> Iterator[tuple[str, list[str]]]:
    shown = without_next_sizes(rows)
    for image in dict.fromkeys(row.image for row in shown if not row.is_set):
        of_image = systems(row for row in shown if row.image == image)
        found = [name for name in of_image if folder.reconstruction_path(name, image).is_file()]
        if found and folder.reconstruction_path(ORIGINAL, image).is_file():
            yield image, [ORIGINAL, *found]


def _embed(kept: Sequence[tuple[str, list[str]]], folder: EvaluationFolder, max_chars: int, encode: Encode) -> Pictures:
    """An image goes in with all of its systems or is left out; smaller ones behind it may still fit."""
    images: list[KeptImage] = []
    left_out: list[str] = []
    encoded: dict[bytes, _Encoded] = {}
    room = max_chars
    for name, shown in kept:
        own: dict[bytes, _Encoded] = {}
        places: dict[str, bytes] = {}
        original: Pixels | None = None
        for system in shown:
            pixels = folder.read_reconstruction(system, name, original)
            original = pixels if original is None else original
            digest = places[system] = sha256(pixels.tobytes() + repr(pixels.shape).encode()).digest()
            if digest not in encoded and digest not in own:
                own[digest] = encode(pixels)
            if sum(len(one.uri) for one in own.values()) > room:
                left_out.append(name)
                break
        else:
            room -= sum(len(one.uri) for one in own.values())
            encoded |= own
            numbers = {digest: number for number, digest in enumerate(encoded)}
            height, width = pixels.shape[:2]
            images.append(KeptImage(name, width, height, {key: numbers[digest] for key, digest in places.items()}))
        if left_out and encode is _lossless:
            break  # all are made again in the smaller form
    made = list(encoded.values())
    return Pictures(
        tuple(images),
        tuple(one.uri for one in made),
        max((one.mean_deviation for one in made), default=0.0),
        max((one.max_deviation for one in made), default=0),
        tuple(left_out),
    )


def _lossless(pixels: Pixels) -> _Encoded:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=20, method=2)
    return _Encoded(_uri("webp", buffer))


def _near_lossless(pixels: Pixels) -> _Encoded:
    """Without subsampled colors, which would change what is compared."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", quality=NEAR_LOSSLESS_QUALITY, subsampling="4:4:4", speed=8)
    with Image.open(buffer) as opened:
        apart = np.abs(np.asarray(opened.convert("RGB")).astype(np.int16) - pixels)
    return _Encoded(_uri("avif", buffer), float(apart.mean()), int(apart.max()))


def _uri(kind: str, buffer: BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
