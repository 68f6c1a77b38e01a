"""Reading the next input while the present one is coded: one thread, and at most one input waiting."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from hific.cli.conversions import Content, Conversion, Failed
from hific.cli.plan import Task


def read_ahead(tasks: Sequence[Task], conversion: Conversion[Content]) -> Generator[tuple[Task, Content | Failed]]:
    """The tasks in their order with what was read for each; close it to stop reading."""
    pool = ThreadPoolExecutor(1)
    early: Future[Content | Failed | None] | None = None
    try:
        for task, following in zip(tasks, [*tasks[1:], None], strict=True):
            content = early.result() if early is not None else None
            if content is None:
                content = conversion.read(task)
            early = pool.submit(conversion.read_early, following) if following is not None else None
            yield task, content
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
