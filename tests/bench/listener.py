"""Tells when the kernel gets a route: a line with monotonic seconds and prefix for each.

Run inside a namespace as ``python -m tests.bench.listener``; ends after a silence.
"""

import socket
import struct
import time
from typing import Final

READY: Final = "ready"
SILENCE: Final = 10.0  # seconds
_IPV4_ROUTE: Final = 1 << 6  # RTMGRP_IPV4_ROUTE
_RTM_NEWROUTE: Final = 24
_RTA_DST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_ROUTE_OCTETS: Final = 12


def main() -> None:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    sock.bind((0, _IPV4_ROUTE))
    sock.settimeout(SILENCE)
    print(READY, flush=True)  # noqa: T201 - its output
    while True:
        try:
            data = sock.recv(65536)
        except TimeoutError:
            return
        now = time.monotonic()
        for prefix in prefixes(data):
            print(now, prefix, flush=True)  # noqa: T201 - its output


def prefixes(data: bytes) -> list[str]:
    """Return the destinations of the routes that a notification adds."""
    found, at = [], 0
    while at < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _RTM_NEWROUTE:
            body = at + _HEADER.size
            bits = data[body + 1]
            end, part = at + length, body + _ROUTE_OCTETS
            while part < end:
                size, name = _ATTRIBUTE.unpack_from(data, part)
                if name == _RTA_DST:
                    addr = socket.inet_ntoa(data[part + 4 : part + 8])
                    found.append(f"{addr}/{bits}")
                part += size + 3 & ~3
        at += length + 3 & ~3
    return found


if __name__ == "__main__":
    main()
