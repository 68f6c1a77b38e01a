"""`hific compress | decompress | info`. Nothing heavy is imported before it is known that it is needed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 (some inputs failed), 2 (usage; nothing was done), 130 (Ctrl-C)."""
    from hific.cli.arguments import build_parser
    from hific.errors import UsageError

    options = build_parser().parse_args(argv)
    try:
        if options.command == "info":
            from hific.cli.info import run_info

            return run_info(options)
        from hific.cli.convert import run_convert

        return run_convert(options)
    except UsageError as error:
        print(f"hific: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output left (`| head`): what the interpreter flushes at its end must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("hific: interrupted; finished files are whole, nothing partial was left", file=sys.stderr)
        if threading.active_count() > 1:
            # Images still being coded by --jobs cannot be stopped, and nothing of them is on disk: do not wait.
            os._exit(INTERRUPTED)
        return INTERRUPTED
