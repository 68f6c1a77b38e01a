"""The command `hific`. Nothing heavy is imported before it is due."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 (some inputs failed), 2 (usage; nothing was done), 130 (Ctrl-C)."""
    from hific.cli.arguments import build_parser
    from hific.errors import CheckpointError, UsageError

    options = build_parser().parse_args(argv)
    interrupted.clear()
    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        status = _run(options)
        # Now, not when the interpreter ends: a full disk is a line.
        sys.stdout.flush()
        return status
    except (UsageError, CheckpointError) as error:
        print(f"hific: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output left (`| head`): what the interpreter flushes at its end must not complain again.
        _leave_output()
        return 1
    except OSError as error:
        # What is written to files and read from them is told by those who do; this is standard output's.
        _leave_output()
        print(f"hific: standard output: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("hific: interrupted; finished files are whole, nothing partial was left", file=sys.stderr)
        if threading.active_count() > 1:
            # Images still being coded by --jobs cannot be stopped, and nothing of them is on disk: do not wait.
            os._exit(INTERRUPTED)
        return INTERRUPTED
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


# Each command's module and function; compress and decompress are one.
COMMANDS = {
    "compress": ("convert", "run_convert"),
    "decompress": ("convert", "run_convert"),
    "info": ("describe", "run_info"),
    "models": ("describe", "run_models"),
    "gallery": ("gallery", "run_gallery"),
    "study": ("study", "run_study"),
    "shards": ("shards", "run_shards"),
    "corpus": ("corpus", "run_corpus"),
}


def _run(options: argparse.Namespace) -> int:
    module, function = COMMANDS[options.command]
    run: Callable[[argparse.Namespace], int] = getattr(import_module(f"hific.cli.{module}"), function)
    return run(options)


def _leave_output() -> None:
    """So that what is left in standard output's buffer is not tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# An interrupt that falls into a destructor or a library's callback is printed and forgotten by Python: whoever works
# through a list looks here after each piece.
interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    interrupted.set()
    signal.default_int_handler(number, frame)
