"""`hific corpus compress`: what is kept, and on a real Ray of this machine that nothing is lost or doubled."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from photos import save_noise

from hific.cli import main
from hific.cli.corpus_store import PART_ROWS, CorpusStore
from hific.cli.corpus_worker import ROW, TRIES, Attempts, Corpus
from hific.errors import UsageError

HIFIC = [sys.executable, "-m", "hific.cli"]
OPTIONS = {"models": ["a"], "to": "parquet"}


def store_in(folder: Path, to: Any = "parquet", options: dict[str, Any] = OPTIONS, force: bool = False) -> CorpusStore:
    return CorpusStore(folder, to, options, force=force, keep_suffix=False)


def row(path: str, source: str = "1", *, error: str | None = None, data: bytes = b"data") -> dict[str, Any]:
    known = {"path": path, "source_sha256": source, "error": error}
    made = {} if error else {"bytes": len(data), "data": data, "width": 8, "height": 8, "notes": ""}
    return {**dict.fromkeys(ROW.names), **known, **made}


def write(
    folder: Path, *rows: dict[str, Any], close: bool = True, done: bool = True, **arguments: Any
) -> list[str | None]:
    store = store_in(folder, **arguments)
    try:
        told = [store.add(one) for one in rows]
        if close:
            store.close({one["path"] for one in rows}, done=done)
        else:
            store.flush()
        return told
    finally:
        store.release()


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """By path; each once."""
    found = pa.concat_tables([pq.read_table(part) for part in sorted(folder.glob("part-*.parquet"))]).to_pylist()
    by_path = {one["path"]: one for one in found}
    assert len(by_path) == len(found)
    return by_path


def test_a_row_replaces_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, row("a.png"), row("b.png", error="bad"), row("c.png"))
    assert (tmp_path / "errors.csv").read_text() == "path,error\nb.png,bad\n"
    write(tmp_path, row("b.png", "2", data=b"new"))
    found = rows_of(tmp_path / "rows")
    assert sorted(found) == ["a.png", "b.png", "c.png"] and found["b.png"]["data"] == b"new"
    assert not (tmp_path / "errors.csv").exists()


def test_what_a_killed_run_left_twice_is_there_once(tmp_path: Path) -> None:
    write(tmp_path, row("a.png"), row("b.png"), close=False)
    write(tmp_path, row("b.png", "2"), close=False)
    write(tmp_path, row("b.png", "3"), row("d.png"), close=False)
    store = store_in(tmp_path)
    assert rows_of(tmp_path / "rows").keys() == {"a.png", "b.png", "d.png"}
    assert store.known["b.png"].source_sha256 == "3"
    assert store.is_done("a.png") and not store.is_done("c.png")
    store.close(store.known, done=True)
    store.release()
    assert len(list((tmp_path / "rows").iterdir())) == 1  # small parts are one


def test_parts_are_written_on_the_way(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for number in range(PART_ROWS + 1):
        store.add(row(f"{number}.png"))
    assert len(rows_of(tmp_path / "rows")) == PART_ROWS
    store.release()


def test_a_corpus_of_other_options_is_kept_unless_forced(tmp_path: Path) -> None:
    write(tmp_path, row("a.png"))
    with pytest.raises(UsageError, match=r"other options \(models \['a'\] there, \['b'\] here\).*--force"):
        store_in(tmp_path, options={**OPTIONS, "models": ["b"]})
    assert rows_of(tmp_path / "rows")["a.png"]["data"] == b"data"
    # One that ended before all were tried replaces nothing.
    others: dict[str, Any] = {"options": {**OPTIONS, "models": ["b"]}, "force": True}
    write(tmp_path, row("a.png"), row("z.png"))
    write(tmp_path, done=False, **others)
    write(tmp_path, row("c.png"), done=False, **others)
    assert rows_of(tmp_path / "rows").keys() == {"a.png", "z.png", "c.png"}
    write(tmp_path, row("a.png", data=b"other"), **others)
    assert rows_of(tmp_path / "rows")["a.png"]["data"] == b"other"
    (tmp_path / "rows" / "part-000009.parquet").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="cannot be read as rows"):
        store_in(tmp_path, options={**OPTIONS, "models": ["b"]})


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(UsageError, match="another hific corpus is writing there"):
        store_in(tmp_path)
    store.release()
    store_in(tmp_path).release()


def test_files_of_others_are_kept_and_own_ones_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.hfc").write_bytes(b"mine")
    told = write(tmp_path, row("a.png"), row("sub/b.png"), to="files")
    assert told[0] is not None and "--force overwrites it" in told[0] and told[1] is None
    assert (tmp_path / "a.hfc").read_bytes() == b"mine" and (tmp_path / "sub" / "b.hfc").read_bytes() == b"data"
    assert write(tmp_path, row("a.png"), row("sub/b.png", data=b"new"), to="files") == [told[0], None]
    assert (tmp_path / "sub" / "b.hfc").read_bytes() == b"new"
    (tmp_path / "sub" / "b.hfc").unlink()
    store = store_in(tmp_path, to="files")
    assert not store.is_done("sub/b.png")  # its file is gone
    store.release()
    (tmp_path / "c.hfc").write_bytes(b"data")  # as a run that was killed before it wrote the row
    assert write(tmp_path, row("c.png"), to="files") == [None]
    assert write(tmp_path, row("a.png"), to="files", force=True) == [None]


def test_images_of_a_folder_and_of_an_archive(tmp_path: Path) -> None:
    for name in ("b.png", "sub/a.jpg", ".hidden/c.png", "note.txt"):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes(name.encode())
    (tmp_path / "src" / "loop").symlink_to(tmp_path / "src")
    folder = Corpus(str(tmp_path / "src"))
    assert folder.images() == ["b.png", "sub/a.jpg"] and folder.read("sub/a.jpg") == b"sub/a.jpg"
    with zipfile.ZipFile(tmp_path / "src.zip", "w") as archive:
        for name in ("b.png", "sub/a.jpg", ".hidden/c.png", "note.txt"):
            archive.writestr(name, name)
    for url in (f"zip://::file://{tmp_path}/src.zip", f"file://{tmp_path}/src"):
        there = Corpus(url)
        assert there.images() == ["b.png", "sub/a.jpg"], url
        assert there.read("sub/a.jpg") == b"sub/a.jpg"
    for wrong, told in ((tmp_path / "typo", "no such folder"), ("nothing://a", "cannot be opened")):
        with pytest.raises(UsageError, match=told):
            Corpus(str(wrong)).images()


def test_an_image_that_is_begun_too_often_is_known() -> None:
    attempts = Attempts()
    assert attempts.begin("a", None) == 1
    assert [attempts.begin("bad", "a") for _ in range(TRIES + 1)] == list(range(1, TRIES + 2))
    assert attempts.begin("a", None) == 1  # it was ended each time


def test_wrong_requests_end_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_noise(tmp_path / "src" / "a.png", (16, 16), 0)
    source = str(tmp_path / "src")
    cases = (
        ([str(tmp_path / "typo"), str(tmp_path / "dst")], "no such folder"),
        ([source, str(tmp_path / "dst"), "--checkpoint", "typo.ckpt"], "typo.ckpt: No such file"),
        ([source, str(tmp_path / "src" / "a.png")], "cannot be written"),
        ([source, "s3://bucket/corpus"], "DST is a folder of this machine"),
        ([source, str(tmp_path / "dst"), "--address", "127.0.0.1:1"], "--address=127.0.0.1:1: no Ray cluster there"),
    )
    for arguments, told in cases:
        assert main(["corpus", "compress", *arguments]) == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("hific.cli.ray_cluster.find_spec", lambda name: None)
    assert main(["corpus", "compress", source, str(tmp_path / "dst")]) == 2
    assert capsys.readouterr().err.strip() == "hific: hific corpus needs Ray: pip install 'hific[ray]'"


def start(*arguments: object, effort: int = 2) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HIFIC, "corpus", "compress", *map(str, arguments), "--checkpoint", "hific-low", "--effort", str(effort)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        try:
            if any("MapWorker" in part for part in one.cmdline()):
                found.append(one)
        except psutil.Error:
            continue
    return found


def wait_until(condition: Callable[[], object], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def save_corpus(folder: Path, count: int) -> list[str]:
    names = [f"{'sub/' if number % 3 else ''}{number:02d}.png" for number in range(count)]
    for number, name in enumerate(names):
        save_noise(folder / name, (160, 144), number)
    return names


def files_in(folder: Path) -> dict[str, str]:
    """Digests of .hfc files below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.hfc")
    }


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_and_files_are_those_of_compress(tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    names = save_corpus(source, 16)
    (source / "bad.png").write_bytes(b"no image")
    process = start(source, target, "--to", "files", "--workers", 2)
    wait_until(lambda: len(files_in(target)) >= 3)
    workers_of(process)[0].send_signal(signal.SIGKILL)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 1 and "bad.png: not an image" in told, told
    found = rows_of(target / ".rows")
    assert sorted(found) == sorted([*names, "bad.png"])
    assert [path for path, one in found.items() if one["error"]] == ["bad.png"]
    with (target / "errors.csv").open() as file:
        assert [line["path"] for line in csv.DictReader(file)] == ["bad.png"]
    compress = [*HIFIC, "compress", str(source), "-o", str(tmp_path / "plain"), "--checkpoint", "hific-low"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*compress, "--effort", "2", "--quiet"], env=environment, check=False)
    assert files_in(target) == files_in(tmp_path / "plain") and len(files_in(target)) == len(names)
    assert {one["sha256"] for one in found.values() if not one["error"]} == set(files_in(target).values())


@pytest.mark.slow
def test_killed_and_interrupted_it_goes_on(tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    names = save_corpus(source, 40)
    slowly = 20  # steps of the search, so that none is through with all before it is stopped
    done = 0
    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        process = start(source, target, "--workers", 2, effort=slowly)
        wait_until(lambda before=done: count_rows(target) > before)  # type: ignore[misc]
        process.send_signal(number)
        process.communicate(timeout=300)
        assert process.returncode == status
        assert not list(target.rglob("*.part"))
        done = count_rows(target)
        assert 0 < done < len(names)
    changed = next(iter(rows_of(target / "rows")))  # whichever a worker had finished
    save_noise(source / changed, (160, 144), 1000)
    process = start(source, target, "--workers", 2, effort=slowly)
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    assert f"{len(names) - done + 1} compressed" in told and f"{done - 1} were done already" in told
    found = rows_of(target / "rows")
    assert sorted(found) == sorted(names)
    for name in names:
        assert found[name]["source_sha256"] == hashlib.sha256((source / name).read_bytes()).hexdigest()
        assert found[name]["sha256"] == hashlib.sha256(found[name]["data"]).hexdigest()


def count_rows(target: Path) -> int:
    return len({one for part in target.glob("rows/part-*.parquet") for one in pq.read_table(part)["path"].to_pylist()})


@pytest.mark.slow
def test_an_image_that_kills_its_workers_is_listed(tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    names = save_corpus(source, 3)
    save_noise(source / "zz_huge.png", (3000, 3000), 0)  # the last in order
    process = start(source, target, "--to", "files", "--workers", 1, effort=10)  # minutes
    wait_until(lambda: len(files_in(target)) == len(names))
    killed = 0
    while process.poll() is None:
        time.sleep(1)
        for worker in workers_of(process):
            try:
                if worker.cpu_times().user > 8:  # it is at the image
                    worker.send_signal(signal.SIGKILL)
                    killed += 1
            except psutil.Error:
                continue
    assert process.stderr is not None
    assert f"zz_huge.png: its worker died {TRIES} times" in process.stderr.read()
    assert process.returncode == 1 and killed >= TRIES
    assert len(files_in(target)) == len(names)
