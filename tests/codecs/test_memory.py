"""Freed memory that is kept stays with the process; what is not goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

MEASURED = """
import ctypes, sys
from hific.codecs.memory import keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
for _ in range(int(sys.argv[1])):
    keep_freed_memory(1 << 27)
before = resident()
block = libc.malloc(1 << 26)
ctypes.memset(block, 1, 1 << 26)
libc.free(block)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have no such switch")
@pytest.mark.parametrize("asked_for", [0, 1, 2])
def test_a_freed_block_stays_where_it_is_asked_for(asked_for: int) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED, str(asked_for)], capture_output=True, text=True, check=True)
    grown = int(done.stdout)
    assert grown > 60_000_000 if asked_for else grown < 10_000_000, f"{grown} bytes of 64 MiB are still there"
