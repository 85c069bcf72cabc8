"""Classic BPF programs that keep unwanted notifications out of a socket's queue. Pure.

The kernel runs them before it queues, so that what we wrote ourselves, 100,000 routes in a
burst, costs neither room nor time.
"""

from struct import Struct
from sys import byteorder

from fib.netlink.rtnetlink import HEADER_LEN, RTM_DELROUTE, RTM_NEWROUTE

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _JUMP_EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06
_BPF = Struct("=HBBI")


def _swapped(value: int, size: int) -> int:
    # BPF loads in network order what netlink stores in the machine's.
    return int.from_bytes(value.to_bytes(size, byteorder), "big")


def ignore_port(port_id: int) -> bytes:
    """Return a filter against notifications of what the socket ``port_id`` itself did."""
    program = (
        (_LOAD_WORD, 0, 0, 12),
        (_JUMP_EQUAL, 0, 1, _swapped(port_id, 4)),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
    return b"".join(_BPF.pack(*step) for step in program)


def ignore_routes_of(protocol: int) -> bytes:
    """Return a filter against notifications of routes with ``protocol``."""
    program = (
        (_LOAD_HALF, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, _swapped(RTM_NEWROUTE, 2)),
        (_JUMP_EQUAL, 0, 3, _swapped(RTM_DELROUTE, 2)),
        (_LOAD_BYTE, 0, 0, HEADER_LEN + 5),
        (_JUMP_EQUAL, 0, 1, protocol),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    )
    return b"".join(_BPF.pack(*step) for step in program)
