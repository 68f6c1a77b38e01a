"""`python -m hific.cli`, the same as `hific`."""

from __future__ import annotations

import sys

from hific.cli import main

if __name__ == "__main__":
    sys.exit(main())
