"""Makes shards (hific/data/shards.py) of a folder of photos.

    photos of each split, in order ─ planned into shards ─ [ read, checked, written whole ] x jobs ─ index.json, last

The same photos and options give the same bytes. A shard that is there is not made again, so what was interrupted goes
on by the same command; until index.json is there nobody takes the folder for finished.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from hific.data.shards import FORMAT, INDEX, PIXELS, PLACE, VERSION, read_index
from hific.data.source import SPLITS, ImageSource
from hific.errors import DataNotFoundError, ImageError, UsageError
from hific.io.file_systems import file_system, is_url, read_bytes
from hific.io.read_image import image_size, read_image
from hific.io.write_whole import write_whole_by

Store = Literal["files", "pixels"]
MEGABYTE = 10**6


@dataclass(frozen=True)
class ShardOptions:
    """shard_mb: megabytes a shard, about; store: the files as they are, or their `pixels`, of which a crop reads only
    its own; check: decode every photo, so that damaged ones are found now and not in a training."""

    shard_mb: int = 512
    store: Store = "files"
    check: bool = True


@dataclass(frozen=True)
class ShardPlan:
    """first: number of its first photo; photos: (name, path); digest: of all that the shard follows from."""

    name: str
    first: int
    photos: tuple[tuple[str, str], ...]
    options: ShardOptions
    digest: str


@dataclass
class Made:
    """What is in a shard. places: offset, bytes, width, height of each photo; bad: name, problem of each left out."""

    digest: str
    places: list[list[int]] = field(default_factory=list)
    bad: list[list[str]] = field(default_factory=list)


Progress = Callable[[int, int], None]
"""Photos done, and of how many."""


def make_shards(
    source: ImageSource, destination: str, options: ShardOptions, *, jobs: int = 1, progress: Progress | None = None
) -> tuple[int, list[list[str]]]:
    """All splits of `source` into a folder or below a URL. Returns the number of photos, and (name, problem) of each
    that was left out.

    Raises UsageError where there are finished shards of other photos or options, DataNotFoundError where there are no
    photos.
    """
    plans: dict[str, list[ShardPlan]] = {
        split: planned for split in SPLITS if (planned := _plan(split, source.files(split), options))
    }
    every = [one for planned in plans.values() for one in planned]
    digest = _digest([one.digest for one in every])
    _refuse_others(destination, digest)
    known = {one.name: before for one in every if (before := _made_before(destination, one)) is not None}
    made, missing = dict(known), [one for one in every if one.name not in known]
    total = sum(len(one.photos) for one in every)
    done = total - sum(len(one.photos) for one in missing)
    tell = progress or (lambda done, total: None)
    tell(done, total)
    for plan, one in _make_all(missing, destination, jobs):
        made[plan.name] = one
        done += len(plan.photos)
        tell(done, total)
    _write_index(destination, plans, made, digest)
    return sum(len(one.places) for one in made.values()), [bad for one in made.values() for bad in one.bad]


def _plan(split: str, files: Sequence[Path], options: ShardOptions) -> list[ShardPlan]:
    plans: list[ShardPlan] = []
    waiting: list[tuple[str, str]] = []
    facts: list[Any] = []
    size = first = 0

    def close() -> None:
        nonlocal waiting, facts, size, first
        name = f"{split}-{len(plans):06d}.tar"
        plans.append(ShardPlan(name, first, tuple(waiting), options, _digest([asdict(options), first, facts])))
        first, waiting, facts, size = first + len(waiting), [], [], 0

    root = os.path.commonpath([path.parent for path in files]) if files else ""
    for path in files:
        stat, name = path.stat(), os.path.relpath(path, root)
        cost = stat.st_size if options.store == "files" else _bytes_of_pixels(path)
        if waiting and size + cost > options.shard_mb * MEGABYTE:
            close()
        waiting.append((Path(name).as_posix(), str(path)))
        facts.append([Path(name).as_posix(), stat.st_size, stat.st_mtime_ns])
        size += cost
    if waiting:
        close()
    return plans


def _bytes_of_pixels(path: Path) -> int:
    try:
        width, height = image_size(path)
    except ImageError:
        return 0
    return 3 * width * height


def _digest(facts: Any) -> str:
    return sha256(json.dumps(facts).encode()).hexdigest()


def _refuse_others(destination: str, digest: str) -> None:
    try:
        found = read_index(destination)
    except DataNotFoundError:
        return
    if found.get("digest") != digest:
        raise UsageError(
            f"{destination} has shards of other photos, or of other options: choose another place, or remove them"
        )


def _facts_name(shard: str) -> str:
    return Path(shard).with_suffix(".json").name


def _made_before(destination: str, plan: ShardPlan) -> Made | None:
    try:
        found = Made(**json.loads(read_bytes(destination, _facts_name(plan.name))))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.digest == plan.digest else None


def _make_all(plans: Sequence[ShardPlan], destination: str, jobs: int) -> Iterator[tuple[ShardPlan, Made]]:
    if jobs == 1 or len(plans) < 2:
        for plan in plans:
            yield plan, make_shard(plan, destination)
        return
    with ProcessPoolExecutor(min(jobs, len(plans)), multiprocessing.get_context("spawn")) as pool:
        try:
            waiting = {pool.submit(make_shard, plan, destination): plan for plan in plans}
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BrokenProcessPool as error:
            raise UsageError("a process died, perhaps of too little memory; the same command goes on") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def make_shard(plan: ShardPlan, destination: str) -> Made:
    """Writes one, and what is in it beside it."""
    made = Made(plan.digest)
    _put(destination, plan.name, lambda file: _write_tar(file, plan, made))
    _put(destination, _facts_name(plan.name), lambda file: file.write(json.dumps(asdict(made)).encode()))
    return made


def _write_tar(file: BinaryIO, plan: ShardPlan, made: Made) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (name, path) in enumerate(plan.photos, start=plan.first):
            try:
                content, suffix, width, height = _stored(Path(path), plan.options)
            except (ImageError, OSError) as error:
                made.bad.append([name, str(error)])
                continue
            member = tarfile.TarInfo(f"{number:09d}{suffix}")  # of no owner and no time: the same bytes each time
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            data_offset = file.tell() - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            made.places.append([data_offset, len(content), width, height])


def _stored(path: Path, options: ShardOptions) -> tuple[bytes, str, int, int]:
    """A photo's bytes in its shard, their suffix, width and height."""
    if options.store == "pixels":
        pixels = read_image(path).array
        buffer = io.BytesIO()
        np.save(buffer, pixels, allow_pickle=False)
        return buffer.getvalue(), PIXELS, pixels.shape[1], pixels.shape[0]
    width, height = image_size(path)
    if options.check:
        read_image(path)
    return path.read_bytes(), path.suffix.lower(), width, height


def _write_index(destination: str, plans: dict[str, list[ShardPlan]], made: dict[str, Made], digest: str) -> None:
    splits = {}
    for split, shards in plans.items():
        rows = [(number, *place) for number, plan in enumerate(shards) for place in made[plan.name].places]
        places = np.array(rows, PLACE)
        _put(destination, f"{split}.npy", partial(np.save, arr=places, allow_pickle=False))
        splits[split] = {"photos": len(places), "shards": [plan.name for plan in shards]}
    bad = [" ".join(f"{name}: {problem}".split()) for one in made.values() for name, problem in one.bad]
    _put(destination, "bad.txt", lambda file: file.write("".join(f"{line}\n" for line in sorted(bad)).encode()))
    index = {"format": FORMAT, "version": VERSION, "digest": digest, "splits": splits}
    _put(destination, INDEX, lambda file: file.write((json.dumps(index, indent=1) + "\n").encode()))


def _put(destination: str, name: str, write: Callable[[BinaryIO], object]) -> None:
    """A file, whole or not at all."""
    if not is_url(destination):
        write_whole_by(Path(destination) / name, write)
        return
    system, path = file_system(destination)
    with tempfile.TemporaryFile() as file:
        write(file)
        file.seek(0)
        # What stores objects shows one when it is complete.
        system.makedirs(path, exist_ok=True)
        with system.open(f"{path}/{name}", "wb") as there:
            while block := file.read(2**24):
                there.write(block)
