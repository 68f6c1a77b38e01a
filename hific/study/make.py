"""`hific study make`: crops and pairs of an evaluation, as a folder that can be served.

Nothing is coded here: what is compared are reconstructions that evaluate.py kept (reconstructions=all), at the bytes of
their files. Equal options over an equal evaluation give equal files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

from hific.errors import OptionError
from hific.evaluation.equal_bytes import without_next_sizes
from hific.evaluation.folder import ORIGINAL, EvaluationFolder, read_evaluation_rows
from hific.evaluation.measurement import Measurement, find_commit, library_versions, systems
from hific.io.write_whole import write_whole
from hific.study.manifest import DEGRADED, MANIFEST, Catch, Crop, LeftOut, Manifest, Pair, picture_path
from hific.study.pictures import Pictures, crop_boxes, degrade

QUESTION = "Which picture is closer to the original?"
CONSENT = """You will see pairs of pictures, each made from an original, and say which of the two is closer to it. \
There is no right or wrong: your eyes decide. You can stop at any time and go on later.

Kept are your answers, how long they took, how often you looked at the original, and the size and pixel ratio of your \
screen, under a random code. No name, no address, nothing else about you."""
MOST_LINES = 20


@dataclass(frozen=True)
class StudyOptions:
    """systems, photos: none is all that can be compared. crop_size: pixels a side; what is smaller is shown whole.
    crops: of a photo, at most, without overlap. tolerance: of bytes, as a share of the larger. trials, catches: of a
    session, at most; no catches: nobody can be excluded by them. OptionError for what cannot be."""

    systems: Sequence[str] = ()
    photos: Sequence[str] = ()
    crop_size: int = 384
    crops: int = 1
    tolerance: float = 0.1
    trials: int = 30
    catches: int = 4
    seed: int = 0
    title: str = "Which is closer?"
    question: str = QUESTION
    consent: str = CONSENT

    def __post_init__(self) -> None:
        for option, value, low, high in (
            ("--crop", self.crop_size, 64, 1024),
            ("--crops", self.crops, 1, 64),
            ("--tolerance", self.tolerance, 0, 1),
            ("--trials", self.trials, 1, 1000),
            ("--catches", self.catches, 0, 100),
        ):
            if not low <= value <= high:
                raise OptionError(f"{option} {value}: it is from {low} to {high}")
        if self.catches > self.trials:
            raise OptionError(f"--catches {self.catches}: more than --trials {self.trials}")
        for option, text in (("--title", self.title), ("--question", self.question), ("--consent", self.consent)):
            if not text.strip():
                raise OptionError(f"{option}: it is empty")


def make_study(source: Path, target: Path, options: StudyOptions) -> Manifest:
    """Writes the study and returns its manifest. OptionError where there is nothing to compare, or a study already;
    ImageError for a picture that cannot be read."""
    if (target / MANIFEST).exists():
        raise OptionError(f"{target} is a study already: name another folder")
    measured, file = read_evaluation_rows(source)
    rows = [row for row in without_next_sizes(measured) if not row.is_set]
    folder = EvaluationFolder(file.parent)
    names = _chosen("--systems", options.systems, systems(rows))
    photos = _photos(rows, folder, names, options.photos)
    if taken := sorted({ORIGINAL, DEGRADED} & set(names)):
        raise OptionError(f"--systems: {taken[0]} is what a study calls its own picture: measure it by another name")
    matched, left_out = _matched(rows, names, photos, options.tolerance)
    pictures = Pictures(options.seed)
    crops, pairs, catches = _compared(matched, folder, pictures, options, left_out)
    if not pairs:
        reasons = "; ".join(dict.fromkeys(f"{one.photo}: {one.reason}" for one in left_out))
        raise OptionError(f"no two of the systems can be compared ({reasons}): allow more by --tolerance")
    if options.catches and not catches:
        raise OptionError("no photo has enough detail for a catch trial: take others by --photos, or --catches 0")
    total = len(photos) * len(names) * (len(names) - 1) // 2
    manifest = Manifest(
        **{name: getattr(options, name) for name in ("title", "question", "consent", "seed", "crop_size", "tolerance")},
        trials=options.trials,
        catches=options.catches,
        matched=(total - sum(not one.reason.startswith(_SAME) for one in left_out), total),
        versions=f"commit {find_commit()}, {library_versions()}",
        evaluation=sha256(file.read_bytes()).hexdigest(),
        systems=tuple(names),
        pictures=pictures.known,
        crops=tuple(crops),
        pairs=tuple(pairs),
        catch_pairs=tuple(catches),
        left_out=tuple(left_out),
    )
    for name, data in pictures.files.items():
        write_whole(picture_path(target, name), data)
    # Last: without it the folder is no study.
    write_whole(target / MANIFEST, manifest.model_dump_json(indent=1) + "\n", force=False)
    return manifest


def _chosen(option: str, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """All where none is wanted. Labels have commas in them, so that they are told apart by semicolons."""
    if strangers := [name for name in wanted if name not in known]:
        raise OptionError(f"{option}: there is no {'; '.join(strangers)}; there is: {'; '.join(known) or 'none'}")
    chosen = list(dict.fromkeys(wanted)) or list(known)
    if option == "--systems" and len(chosen) < 2:
        raise OptionError(f"--systems: a pair needs two; there is: {'; '.join(known) or 'none'}")
    return chosen


def _photos(
    rows: Sequence[Measurement], folder: EvaluationFolder, names: Sequence[str], wanted: Sequence[str]
) -> list[str]:
    """Of which evaluate.py kept what two of the systems made; those that are wanted must be complete."""
    known = list(dict.fromkeys(row.image for row in rows))
    chosen = _chosen("--photos", wanted, known)
    measured = {(row.system, row.image) for row in rows}

    def missing(photo: str) -> list[str]:
        made = [name for name in names if (name, photo) in measured]
        return [name for name in (ORIGINAL, *made) if not folder.reconstruction_path(name, photo).is_file()]

    complete = [photo for photo in chosen if not missing(photo)]
    lacking = [photo for photo in chosen if missing(photo)]
    if (wanted and lacking) or not complete:
        where = "; ".join(f"{photo} by {', '.join(missing(photo))}" for photo in lacking[:3])
        raise OptionError(f"--photos: no pictures were kept of {where}: evaluate.py reconstructions=all keeps all")
    return complete


@dataclass(frozen=True)
class _Matched:
    """The pairs of a photo's systems whose bytes are close enough, with these bytes."""

    photo: str
    pairs: dict[tuple[str, str], tuple[int, int]]

    @property
    def systems(self) -> list[str]:
        return list(dict.fromkeys(name for pair in self.pairs for name in pair))


_UNMATCHED, _SAME = "bytes differ by", "same pixels"


def _matched(
    rows: Sequence[Measurement], names: Sequence[str], photos: Sequence[str], tolerance: float
) -> tuple[list[_Matched], list[LeftOut]]:
    num_bytes = {(row.system, row.image): row.num_bytes for row in rows}
    found, left_out = [], []
    for photo in photos:
        pairs = {}
        for pair in combinations(names, 2):
            first, second = sizes = tuple(num_bytes.get((name, photo), 0) for name in pair)
            apart = abs(first - second) / (max(sizes) or 1)
            if min(sizes) == 0:
                reason = "not measured"
            elif apart > tolerance:
                reason = f"{_UNMATCHED} {100 * apart:.1f} %"
            else:
                pairs[pair] = (first, second)
                continue
            left_out.append(LeftOut(photo=photo, systems=pair, num_bytes=(first, second), reason=reason))
        found.append(_Matched(photo, pairs))
    return found, left_out


def _compared(
    matched: Sequence[_Matched],
    folder: EvaluationFolder,
    pictures: Pictures,
    options: StudyOptions,
    left_out: list[LeftOut],
) -> tuple[list[Crop], list[Pair], list[Catch]]:
    """Crops with their pairs and catch trials; pairs that show the same pixels go to `left_out`."""
    crops: list[Crop] = []
    pairs: list[Pair] = []
    catches: list[Catch] = []
    for one in matched:
        if not one.pairs:
            continue
        original = folder.read_reconstruction(ORIGINAL, one.photo)
        made = {name: folder.read_reconstruction(name, one.photo, original) for name in one.systems}
        for x, y, width, height in crop_boxes(
            original.shape, options.crop_size, options.crops, f"{options.seed}/{one.photo}"
        ):
            part = (slice(y, y + height), slice(x, x + width))
            shown = {name: pictures.put("shown", pixels[part]) for name, pixels in made.items()}
            source = pictures.put(ORIGINAL, original[part])
            place = len(crops)
            crops.append(Crop(photo=one.photo, x=x, y=y, width=width, height=height, original=source, shown=shown))
            for pair, sizes in one.pairs.items():
                if shown[pair[0]] == shown[pair[1]]:
                    reason = f"{_SAME} in the crop at {x}, {y}"
                    left_out.append(LeftOut(photo=one.photo, systems=pair, num_bytes=sizes, reason=reason))
                else:
                    pairs.append(Pair(crop=place, systems=pair, num_bytes=sizes))
            poor = degrade(original[part])
            if options.catches and poor is not None:
                again, degraded = pictures.put("shown", original[part]), pictures.put("shown", poor)
                catches.append(Catch(crop=place, original=again, degraded=degraded))
    return crops, pairs, catches


def describe(manifest: Manifest) -> list[str]:
    """What a person should know of a study before it is shown to anyone, a line each."""
    pairs, total = manifest.matched
    widest = max(crop.width for crop in manifest.crops)
    tolerance = f"{100 * manifest.tolerance:g} % (--tolerance)"
    lines = [
        f"{len(manifest.pairs)} pairs of {len(manifest.systems)} systems in {len(manifest.crops)} crops; a session has "
        f"{min(manifest.trials, len(manifest.pairs))} of them and {min(manifest.catches, len(manifest.catch_pairs))} "
        "catch trials",
        f"bytes within {tolerance}: {pairs} of {total} pairs of systems and photos ({100 * pairs / total:.0f} %)",
        f"two pictures side by side take a window of {2 * widest} device pixels and some, with the original between "
        f"them {3 * widest}",
    ]
    for one in manifest.left_out[:MOST_LINES]:
        sizes = " and ".join(map(str, one.num_bytes))
        lines.append(f"left out: {one.photo}, {' with '.join(one.systems)}: {one.reason} ({sizes} bytes)")
    if len(manifest.left_out) > MOST_LINES:
        lines.append(f"left out: {len(manifest.left_out) - MOST_LINES} more, which {MANIFEST} names")
    return lines
