"""manifest.json: all that a study is, so that its sessions and results follow from it and from the votes alone.

FOLDER/manifest.json
FOLDER/pictures/<id>.png      crops; an id says nothing of what made the picture
FOLDER/votes.sqlite           once it was served
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hific.errors import OptionError
from hific.evaluation.folder import ORIGINAL

MANIFEST, PICTURES, VOTES = "manifest.json", "pictures", "votes.sqlite"
DEGRADED = "degraded"
MAX_MANIFEST_BYTES = 64_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Picture(_Strict):
    """`sha256`: of the file."""

    sha256: str
    width: int
    height: int


class Crop(_Strict):
    """A part of a photo: `shown` is by system the id of its picture; `original` is that of the original's."""

    photo: str
    x: int
    y: int
    width: int
    height: int
    original: str
    shown: dict[str, str]


class Pair(_Strict):
    """What one trial compares: `crop` is a place in the list of crops, `num_bytes` are of the files of whole photos."""

    crop: int
    systems: tuple[str, str]
    num_bytes: tuple[int, int]


class Catch(_Strict):
    """A trial whose answer is known: the original itself (under an id of its own) beside a strongly degraded one."""

    crop: int
    original: str
    degraded: str


class LeftOut(_Strict):
    """A pair of systems of a photo, or of a crop, that is not compared."""

    photo: str
    systems: tuple[str, str]
    num_bytes: tuple[int, int]
    reason: str


class Manifest(_Strict):
    """Args:
    seed: of crops, and with a participant's number of trials, order and sides.
    crop_size: pixels a side at most.
    tolerance: bytes of a pair are apart by at most so much of the larger.
    trials, catches: of a session, at most.
    matched: pairs of systems and photos within the tolerance, of how many.
    versions: of the code and the libraries that made it; `evaluation`: sha256 of the rows it was made from.
    """

    format: Literal["hific study"] = "hific study"
    version: Literal[1] = 1
    title: str
    question: str
    consent: str
    seed: int
    crop_size: int
    tolerance: float
    trials: int
    catches: int
    matched: tuple[int, int]
    versions: str
    evaluation: str
    systems: tuple[str, ...]
    pictures: dict[str, Picture]
    crops: tuple[Crop, ...]
    pairs: tuple[Pair, ...]
    catch_pairs: tuple[Catch, ...]
    left_out: tuple[LeftOut, ...]

    def picture_ids(self) -> Iterator[str]:
        """All that it refers to."""
        for crop in self.crops:
            yield from (crop.original, *crop.shown.values())
        for catch in self.catch_pairs:
            yield from (catch.original, catch.degraded)


def picture_path(folder: Path, picture: str) -> Path:
    return folder / PICTURES / f"{picture}.png"


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """And its sha256, by which votes know their study. OptionError where there is none, or it is not whole."""
    path = folder / MANIFEST
    if not path.is_file():
        raise OptionError(f"{folder} is no study: it has no {MANIFEST} (hific study make EVALUATION FOLDER)")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise OptionError(f"{path} is larger than any manifest of a study")
    data = path.read_bytes()
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise OptionError(f"{path} is not what `hific study make` writes: {place or 'it'}: {first['msg']}") from error
    if problem := _problem(manifest):
        raise OptionError(f"{path} is not what `hific study make` writes: {problem}")
    return manifest, sha256(data).hexdigest()


def _problem(manifest: Manifest) -> str | None:
    """What would only come up in the middle of a session."""
    if unknown := [name for name in manifest.picture_ids() if name not in manifest.pictures]:
        return f"it has no picture {unknown[0]}"
    if strange := [name for name in manifest.pictures if not name.isalnum()]:
        return f"{strange[0]!r} is no id of a picture"
    places = [pair.crop for pair in manifest.pairs] + [catch.crop for catch in manifest.catch_pairs]
    if any(not 0 <= place < len(manifest.crops) for place in places):
        return "a pair is of a crop that it does not have"
    if not manifest.pairs:
        return "it has no pairs"
    for pair in manifest.pairs:
        if any(name not in manifest.crops[pair.crop].shown or name not in manifest.systems for name in pair.systems):
            return f"a pair is of {' and '.join(pair.systems)}, which its crop does not have"
    if {ORIGINAL, DEGRADED} & set(manifest.systems):
        return f"a system is called {ORIGINAL} or {DEGRADED}"
    return None


def check_pictures(folder: Path, manifest: Manifest) -> None:
    """OptionError unless every picture is there and is what it was."""
    for name, picture in manifest.pictures.items():
        path = picture_path(folder, name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise OptionError(f"{path} cannot be read ({error.strerror}): make the study again") from error
        if sha256(data).hexdigest() != picture.sha256:
            raise OptionError(f"{path} is not the picture that the study was made with: make the study again")
