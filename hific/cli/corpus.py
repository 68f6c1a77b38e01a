"""`hific corpus compress SRC DST`: a collection of images on a Ray cluster, where a bad image, a worker that dies and a
run that is killed lose nothing but time.

    images below SRC ─ blocks of paths ─ [ worker: read ─ codec ─ row ] x workers ─ this process: rows ─ DST
                                           └ Ray Data's actors, each with the model

Only this process writes, each row once: what a dead worker had in hand is done again by another.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from hific import zoo
from hific.cli import interrupted
from hific.cli.checkpoint import model_names
from hific.cli.convert import BatchReport
from hific.cli.corpus_store import CorpusStore
from hific.cli.corpus_worker import ROW, WORK, Attempts, Corpus, CorpusWorker
from hific.cli.plan import Input, Task, find_clashes
from hific.cli.ray_cluster import check_installed, check_room, connect
from hific.codecs.families import options_by_name
from hific.errors import OptionError, UsageError, in_a_line
from hific.io.file_digest import file_digest
from hific.io.file_systems import is_url

# A block is lost and done again with its worker.
MOST_IN_BLOCK = 32
BLOCKS_A_WORKER = 16
# Of what is told where there is no terminal for a bar.
SECONDS_BETWEEN_LINES = 30.0


def run_corpus(options: argparse.Namespace) -> int:
    """The whole command; raises UsageError before anything is written, or where no image can be done."""
    try:
        check_installed("hific corpus")
    except OptionError as error:
        raise UsageError(str(error)) from error
    if is_url(options.target):
        raise UsageError(f"{options.target}: DST is a folder of this machine, since its files are written whole")
    of_compress = argparse.Namespace(**{**vars(options), "command": "compress", "jobs": 1})
    # Workers have other working folders and environments.
    of_compress.checkpoint = [
        os.path.abspath(one) if os.path.exists(one) else one for one in model_names(of_compress, ())
    ]
    facts = _facts(of_compress)
    corpus = Corpus(options.source if is_url(options.source) else os.path.abspath(options.source))
    images = corpus.images()
    store = CorpusStore(Path(options.target), options.to, facts, force=options.force, keep_suffix=options.keep_suffix)
    try:
        return _compress(corpus, images, store, of_compress)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{options.target}: cannot be written ({error.strerror}); what is there is whole") from error
    finally:
        store.release()


def _facts(options: argparse.Namespace) -> dict[str, Any]:
    """All that decides what an image becomes, beside its bytes."""
    names = ("alpha", "max_bytes", "bpp", "to", *options_by_name())
    chosen = {name: getattr(options, name) for name in names if name != "max_pixels"}
    models = [_digest(name) for name in options.checkpoint]
    return {"models": models, **{name: str(value) for name, value in chosen.items() if value is not None}}


def _digest(model: str) -> str:
    """Of a shipped model, or of a checkpoint."""
    if model in zoo.MODELS:
        return f"{model} {zoo.describe(model).fingerprint[:16]}"
    try:
        return file_digest(model)
    except OSError as error:
        raise UsageError(f"{model}: {error.strerror}") from error


def _compress(corpus: Corpus, images: Sequence[str], store: CorpusStore, options: argparse.Namespace) -> int:
    refused = _refused(images, store, options)
    due = [path for path in images if path not in refused]
    with BatchReport("corpus", len(images), quiet=options.quiet) as report:
        tally = _Tally(len(images), store, report)
        for path, reason in refused.items():
            tally.add(_row(_printable(path), reason))
        done = False
        try:
            if due:
                connect(options.address, "--address", num_cpus=_cpus(options), tell_workers=False)
                _run(_answers(corpus, due, store, options), tally)
            done = True
        except OptionError as error:
            raise UsageError(str(error)) from error
        finally:
            failed = store.close({_printable(path) for path in images}, done=done)
        report.note(tally.summary(failed, options.target))
    return 1 if failed else 0


def _printable(path: str) -> str:
    """As rows have it: a name that is not UTF-8 is no text."""
    return path.encode(errors="backslashreplace").decode()


def _run(answers: Generator[dict[str, Any]], tally: _Tally) -> None:
    import ray
    from ray.exceptions import RayError

    try:
        with closing(answers):
            for answer in answers:
                if interrupted.is_set():
                    raise KeyboardInterrupt
                tally.add(answer)
    except RayError as error:
        raise UsageError(f"Ray: {in_a_line(error)}") from error
    finally:
        ray.shutdown()


def _refused(images: Sequence[str], store: CorpusStore, options: argparse.Namespace) -> dict[str, str]:
    """By path, why not."""
    refused = {path: "its name is not UTF-8" for path in images if not _is_utf8(path)}
    if options.to == "files":
        tasks = {Task(Input(Path(path), Path(path), searched=True), store.target(path)): path for path in images}
        refused |= {tasks[task]: reason for task, reason in find_clashes(list(tasks)).items()}
    return refused


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cpus(options: argparse.Namespace) -> int | None:
    """Of a cluster that is started for this: as many as the workers ask for; None is the machine's."""
    return None if options.workers is None else max(1, round(options.workers * options.cpus_per_worker))


def _answers(
    corpus: Corpus, images: Sequence[str], store: CorpusStore, options: argparse.Namespace
) -> Generator[dict[str, Any]]:
    """One for each image, in any order."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    workers = options.workers or max(1, int(ray.cluster_resources().get("CPU", 1) // options.cpus_per_worker))
    gpus = options.gpus_per_worker if options.gpus_per_worker is not None else float(options.device == "cuda")
    check_room(options.address, {"CPU": options.cpus_per_worker}, "--cpus-per-worker")
    check_room(options.address, {"GPU": gpus}, "--gpus-per-worker")
    size = max(1, min(MOST_IN_BLOCK, len(images) // (workers * BLOCKS_A_WORKER)))
    blocks = [images[start : start + size] for start in range(0, len(images), size)]
    attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote()
    answers = ray.data.from_arrow([_work(block, store) for block in blocks]).map_batches(
        CorpusWorker,
        batch_size=None,
        batch_format="pyarrow",
        fn_constructor_args=(corpus, options, attempts),
        compute=ActorPoolStrategy(size=min(workers, len(blocks))),
        num_cpus=options.cpus_per_worker,
        num_gpus=gpus,
    )
    # Without reading ahead: an answer would wait for the next one.
    for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        assert isinstance(batch, pa.Table)
        for answer in batch.to_pylist():
            if answer["fatal"] is not None:
                raise UsageError(answer["fatal"])
            yield answer


def _work(block: Sequence[str], store: CorpusStore) -> pa.Table:
    known = [store.known[path].source_sha256 if store.is_done(path) else "" for path in block]
    return pa.table({"path": list(block), "known_sha256": known}, schema=WORK)


def _row(path: str, error: str) -> dict[str, Any]:
    return {**dict.fromkeys(ROW.names), "path": path, "error": error}


class _Tally:
    """Rows into the store, and what is told of them."""

    def __init__(self, total: int, store: CorpusStore, report: BatchReport) -> None:
        self._store, self._report, self._total = store, report, total
        self._made = self._unchanged = self._failed = self._num_bytes = 0
        self._first: float | None = None
        self._told = time.monotonic()

    def add(self, row: dict[str, Any]) -> None:
        if row.get("unchanged"):
            self._unchanged += 1
            self._report.advance()
        elif (error := self._store.add({name: row[name] for name in ROW.names})) is not None:
            self._failed += 1
            self._report.failed(f"{row['path']}: {error}")
        else:
            self._made += 1
            self._first = self._first or time.monotonic()
            self._num_bytes += row["bytes"]
            self._report.advance()
        self._store.flush_if_due()
        if not sys.stderr.isatty() and time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            self._report.note(f"{self._made + self._unchanged + self._failed} of {self._total}, {self._rate()}")

    def summary(self, failed: int, folder: str) -> str:
        speed = f", {self._rate()}" if self._made > 1 else ""
        parts = [f"{self._made} compressed to {self._num_bytes} bytes{speed}"] if self._made else []
        parts += [f"{self._unchanged} were done already"] if self._unchanged else []
        parts += [f"{failed} failed: {folder}/errors.csv"] if failed else []
        return "; ".join(parts)

    def _rate(self) -> str:
        """Since the first image was done: what comes before is the start of Ray and of the model."""
        if self._first is None or self._made < 2:
            return "starting"
        return f"{(self._made - 1) / (time.monotonic() - self._first):.2f} images/s"
