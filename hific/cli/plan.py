"""Which input goes to which output, settled before any work starts."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hific.errors import UsageError

STANDARD = "-"


@dataclass(frozen=True)
class Input:
    """`path` None is standard input; `relative` is the path below the folder that was named, or the bare file name;
    `searched`: found in a folder or by a pattern, where there might have been more."""

    path: Path | None
    relative: Path
    searched: bool

    @property
    def is_stream(self) -> bool:
        """Standard input, a pipe or a device: can be read once, and not looked at before."""
        return self.path is None or (self.path.exists() and not self.path.is_file() and not self.path.is_dir())

    def read(self) -> bytes:
        return sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()

    def __str__(self) -> str:
        return STANDARD if self.path is None else str(self.path)


@dataclass(frozen=True)
class Task:
    """One file to make; `target` None is standard output."""

    source: Input
    target: Path | None

    @property
    def target_name(self) -> str:
        return STANDARD if self.target is None else str(self.target)


def find_inputs(names: Sequence[str], suffixes: frozenset[str]) -> tuple[list[Input], list[str]]:
    """The inputs in the order given, each once, and a message for every name that leads to none.

    A folder is searched through for `suffixes` (lower case), hidden files left out; a file may have any suffix.
    """
    found: dict[str, Input] = {}
    problems: list[str] = []
    for name in names:
        if name == STANDARD:
            found.setdefault(STANDARD, Input(None, Path(STANDARD), searched=False))
            continue
        is_file = os.path.lexists(name) and not os.path.isdir(name)
        files = [Input(Path(name), Path(Path(name).name), searched=False)] if is_file else _search(name, suffixes)
        if not files:
            kinds = " ".join(sorted(suffixes))
            problems.append(
                f"{name}: no {kinds} file in it" if os.path.isdir(name) else f"{name}: no such file or folder"
            )
        for file in files:
            found.setdefault(os.path.abspath(str(file)), file)
    return list(found.values()), problems


def _search(name: str, suffixes: frozenset[str]) -> list[Input]:
    files: list[Input] = []
    for entry in [name] if os.path.isdir(name) else sorted(glob.glob(name, recursive=True)):
        if os.path.isdir(entry):
            files += _in_folder(Path(entry), suffixes)
        else:
            files.append(Input(Path(entry), Path(Path(entry).name), searched=True))
    return files


def _in_folder(folder: Path, suffixes: frozenset[str]) -> list[Input]:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes:
                files.append(Input(path, path.relative_to(folder), searched=True))
    return files


def plan_tasks(
    inputs: Sequence[Input], output: str | None, extension: str, *, one_named: bool, keep_suffix: bool = False
) -> list[Task]:
    """Pairs every input with its output. Raises UsageError where `output` does not suit the inputs.

    `output` is "-", a folder, or (where one file was named, `one_named`) a file; None puts each output beside its
    input, and what came from standard input on standard output. `keep_suffix`: `extension` follows the whole name.
    """
    if not inputs:  # a wrong name is told by itself, not by the output that does not suit it
        return []
    alone = one_named and len(inputs) == 1 and not inputs[0].searched
    if output == STANDARD or (output is None and alone and inputs[0].path is None):
        if len(inputs) > 1:
            raise UsageError(f"standard output takes one file, not {len(inputs)}: name a folder with -o")
        return [Task(source, None) for source in inputs]
    if output is not None and alone and not _is_folder(output):
        return [_checked_file(Task(inputs[0], Path(output)), extension)]
    if output is not None and not _is_folder(output) and output.lower().endswith(extension):
        raise UsageError(f"-o {output}: names one file, and the inputs may be several: name a folder, or end it in /")
    if output is not None and os.path.lexists(output) and not os.path.isdir(output):
        raise UsageError(f"-o {output}: is a file, and several inputs need a folder")
    if any(source.is_stream for source in inputs):
        raise UsageError("standard input and pipes have no name to derive an output's from: write -o FILE or -o -")
    return [Task(source, _derived(source, output, extension, keep_suffix)) for source in inputs]


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or os.path.isdir(output)


def _derived(source: Input, output: str | None, extension: str, keep_suffix: bool) -> Path:
    assert source.path is not None
    path = source.path if output is None else Path(output, source.relative)
    return path.with_name(path.name + extension) if keep_suffix else path.with_suffix(extension)


def _checked_file(task: Task, extension: str) -> Task:
    if task.target is not None and task.target.suffix.lower() != extension:
        raise UsageError(f"-o {task.target}: end the name of the file in {extension}, or that of a folder in /")
    if task.source.path is not None and os.path.realpath(task.target_name) == os.path.realpath(task.source.path):
        raise UsageError(f"{task.source}: its output {task.target_name} is the input")
    return task


def find_clashes(tasks: Sequence[Task]) -> dict[Task, str]:
    """The tasks whose output is also another's, or an input, each with what is wrong: none of them is preferred."""
    sources = {os.path.realpath(task.source.path) for task in tasks if task.source.path is not None}
    by_target: dict[str, list[Task]] = {}
    for task in tasks:
        if task.target is not None:
            by_target.setdefault(os.path.realpath(task.target), []).append(task)
    clashes: dict[Task, str] = {}
    for target, makers in by_target.items():
        if target in sources:
            clashes |= {task: _overwriting(task) for task in makers}
        elif len(makers) > 1:
            clashes |= dict.fromkeys(makers, _sharing(makers))
    return clashes


def _overwriting(task: Task) -> str:
    return f"{task.source}: its output {task.target_name} is an input: write elsewhere with -o FOLDER/"


def _sharing(makers: Sequence[Task]) -> str:
    names, share = " and ".join(str(task.source) for task in makers), "both" if len(makers) == 2 else "all"
    return (
        f"{names} would {share} become {makers[0].target_name}: rename one of them, or give them other folders with "
        "-o, or keep their suffixes with --keep-suffix"
    )
