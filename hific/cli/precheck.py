"""What is refused by a look at names and headers, before torch is loaded for the rest."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hific.cli.plan import Task, find_clashes
from hific.codecs.families import FAMILIES
from hific.codecs.pixel_limit import DECODE_MAX_PIXELS, check_pixels
from hific.coding.container import unpack
from hific.errors import BitstreamError, ImageError
from hific.io.read_image import image_size
from hific.io.write_whole import check_target


def admit(tasks: Sequence[Task], options: argparse.Namespace) -> tuple[list[Task], list[str]]:
    """The tasks that are worth starting, and why the others are not. Standard input and pipes are not looked at."""
    clashes = find_clashes(tasks)
    admitted: list[Task] = []
    problems: list[str] = []
    for task in tasks:
        try:
            _check_source(task, options)
            if task in clashes:
                problems.append(clashes[task])
                continue
            if task.target is not None:
                check_target(task.target, force=options.force)
        except ImageError as error:
            problems.append(str(error))
        except (BitstreamError, OSError) as error:
            problems.append(f"{task.source}: {error}")
        else:
            admitted.append(task)
    # A clash is told once for all who are in it.
    return admitted, list(dict.fromkeys(problems))


def _check_source(task: Task, options: argparse.Namespace) -> None:
    """Which model compresses is known only from its checkpoint: until then the limit is that of all."""
    path = task.source.path
    if path is None or task.source.is_stream:
        return
    if options.command == "compress":
        check_pixels(*image_size(path), options.max_pixels or DECODE_MAX_PIXELS)
        return
    header = unpack(path.read_bytes(), max_pixels=options.max_pixels or DECODE_MAX_PIXELS).header
    check_pixels(header.width, header.height, options.max_pixels or FAMILIES[header.codec].max_pixels)
