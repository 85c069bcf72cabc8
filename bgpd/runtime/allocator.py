"""The C library's allocator, set up for tables that grow to tens of megabytes.

A dictionary that grows is copied into a larger one. glibc maps large blocks by themselves and gives
them back when they are freed; but each one that is freed teaches it to take blocks of that size
from the heap, where the hole of an outgrown dictionary stays for ever: 9 MB of a full table.
"""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # of mallopt(3); a fixed one is not adapted any more
LARGE: Final = 1 << 20  # octets; smaller blocks come and go with each read and write


def map_large_blocks() -> bool:
    """Let every large block be given back to the system when it is freed.

    Returns:
        Whether the C library does it; musl, which has no such option, maps them anyway.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE) == 1
