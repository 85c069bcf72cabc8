"""A dictionary that was outgrown leaves no hole in the heap."""

import platform
import subprocess
import sys

import pytest

GROW = """
import sys
from bgpd.runtime.allocator import LARGE, map_large_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "asked":
    assert map_large_blocks()
kept = []
before = resident()
for octets in (16, 8, 4):  # as dictionaries that are outgrown
    table = bytearray(octets * LARGE)
    table[::4096] = bytes(len(table[::4096]))
    kept.append(bytes(100_000))  # what is behind it stays
    del table
print(resident() - before)
"""


def left(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", GROW, mode], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc's")
def test_what_is_freed_is_given_back() -> None:
    assert left("asked") < 4_000_000 < left("as it is")
