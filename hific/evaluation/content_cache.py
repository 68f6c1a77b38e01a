"""What was measured once, on disk, under the SHA-256 of everything that it follows from.

    <root>/evaluation-1/<kind>/ab/ab12...:    SHA-256 of the rest | facts, one line of JSON | bytes

An entry never becomes wrong: another library, setting or pixel is another key. It is written whole, and one whose sum
does not fit is as good as none. What was not asked for longest goes first where they grow above their bound; the
folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_cache_path

from hific.errors import in_a_line
from hific.io.write_whole import write_whole

log = logging.getLogger(__name__)

CACHE_VARIABLE = "HIFIC_CACHE"
DEFAULT = "default"
MAX_BYTES = 2 << 30
FORMAT = "evaluation-1"
_KEY = re.compile("[0-9a-f]{64}")
_SUM = hashlib.sha256().digest_size


class Entry(NamedTuple):
    """`facts`: plain values, as JSON gives them back."""

    facts: Mapping[str, Any]
    data: bytes = b""


def default_folder() -> Path | None:
    """That of the environment variable HIFIC_CACHE, none where it is empty; the platform's, such as ~/.cache/hific,
    where it is not set."""
    named = os.environ.get(CACHE_VARIABLE)
    if named is None:
        return user_cache_path("hific")
    return Path(named).expanduser() if named else None


def open_cache(folder: str | Path | None) -> ContentCache | None:
    """In `folder`, or in the default one where it is called so; None for none. The oldest entries above the bound are
    removed."""
    root = default_folder() if folder == DEFAULT else Path(folder).expanduser() if folder else None
    if root is None:
        return None
    cache = ContentCache(root)
    cache.remove_oldest()
    return cache


def key_of(facts: Mapping[str, Any]) -> str:
    """Of plain values, in any order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def source_digest(*modules: str) -> str:
    """SHA-256 of the Python sources of modules and packages: what was measured by other code is another measurement."""
    digest = hashlib.sha256()
    for module in modules:
        origin = getattr(import_module(module), "__file__", None)
        if origin:
            package = Path(origin).name == "__init__.py"
            for path in sorted(Path(origin).parent.rglob("*.py")) if package else [Path(origin)]:
                digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class ContentCache:
    """A folder of entries. What is wrong with it is a warning, once: measuring goes on without."""

    root: Path
    max_bytes: int = MAX_BYTES
    _warned: set[str] = field(default_factory=set, repr=False, compare=False)

    def read(self, kind: str, key: str) -> Entry | None:
        """None where there is no whole one."""
        path = self._path(kind, key)
        try:
            content = path.read_bytes()
            os.utime(path)  # asked for now
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("cannot be read", error)
            return None
        entry = _parsed(content)
        if entry is None:
            self._warn("holds damaged entries, which are measured again", path)
        return entry

    def write(self, kind: str, key: str, entry: Entry) -> None:
        content = json.dumps(dict(entry.facts)).encode() + b"\n" + entry.data
        try:
            write_whole(self._path(kind, key), hashlib.sha256(content).digest() + content)
        except OSError as error:
            self._warn("cannot be written", error)

    def remove_oldest(self) -> None:
        """Down to `max_bytes`, by when they were last asked for."""
        found = sorted(_entries(self.root / FORMAT), reverse=True)
        total = 0
        for _, size, path in found:
            total += size
            if total > self.max_bytes:
                with suppress(OSError):
                    os.unlink(path)

    def _path(self, kind: str, key: str) -> Path:
        return self.root / FORMAT / kind / key[:2] / key

    def _warn(self, what: str, why: object) -> None:
        if what not in self._warned:
            self._warned.add(what)
            reason = in_a_line(why) if isinstance(why, BaseException) else why
            log.warning("the cache %s %s (%s)", self.root, what, reason)


def _parsed(content: bytes) -> Entry | None:
    stored, rest = content[:_SUM], content[_SUM:]
    if hashlib.sha256(rest).digest() != stored:
        return None
    line, _, data = rest.partition(b"\n")
    return Entry(json.loads(line), data)


def _entries(folder: Path) -> Iterable[tuple[float, int, str]]:
    """When each was last asked for, its size and path."""
    for parent, _, names in os.walk(folder):
        for name in filter(_KEY.fullmatch, names):
            path = os.path.join(parent, name)
            with suppress(OSError):
                known = os.stat(path)
                yield known.st_mtime, known.st_size, path
