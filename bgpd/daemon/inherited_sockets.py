"""Sockets that the service manager listens on for us (sd_listen_fds(3)).

systemd keeps them open while the daemon restarts: a peer that connects meanwhile waits in the kernel's queue
and is not rejected, which some routers take for an end of two minutes. Loads little: the start waits for it.
"""

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import Final, NamedTuple

from bgpd.daemon.errors import MisconfigurationError
from bgpd.net.network import Socket
from bgpd.net.sockets import set_ttl

FIRST: Final = 3  # descriptor, as systemd counts
MOST: Final = 64  # sockets that are taken
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_MAX_TTL: Final = 255

Place = tuple[str, int]
"""Address and port."""


class Inherited(NamedTuple):
    """Sockets that listen, made by the service manager.

    Attributes:
        bgp: TCP, by address and port.
        unix: By path.
    """

    bgp: dict[Place, Socket]
    unix: dict[str, socket.socket]


def take_inherited(environment: MutableMapping[str, str]) -> Inherited:
    """Return the sockets passed to this process; the caller owns them.

    The variables leave the environment: no child must take the descriptors for its own.

    Raises:
        MisconfigurationError: One of them cannot serve BGP; the text says what to change.
    """
    count = _count(environment, os.getpid())
    for name in _VARIABLES:
        environment.pop(name, None)
    found = Inherited({}, {})
    for number in range(count):
        _take(FIRST + number, found)
    return found


def _count(environment: Mapping[str, str], pid: int) -> int:
    number = environment.get("LISTEN_FDS", "")
    is_ours = environment.get("LISTEN_PID", "") == str(pid)
    return min(int(number), MOST) if is_ours and number.isdecimal() else 0


def _take(descriptor: int, found: Inherited) -> None:
    title = f"descriptor {descriptor} of the socket unit"
    try:
        sock = socket.socket(fileno=descriptor)
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        text = f"{title}: {error.strerror}; expected a socket"
        raise MisconfigurationError(text) from error
    name = sock.getsockname()
    is_path = sock.family == socket.AF_UNIX and isinstance(name, str) and name != ""
    is_known = is_path or sock.family in {socket.AF_INET, socket.AF_INET6}
    if not is_known or not is_listening:
        raise MisconfigurationError(
            f"{title}: expected a socket that listens: ListenStream=ADDRESS:PORT or "
            "ListenStream=PATH, and Accept=no"
        )
    sock.setblocking(False)
    os.set_inheritable(descriptor, False)
    if is_path:
        found.unix[name] = sock
        return
    address, port = name[:2]
    if sock.family == socket.AF_INET6 and not sock.getsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
    ):
        raise MisconfigurationError(
            f"{title}: [{address}]:{port} takes IPv4 as well; expected "
            "BindIPv6Only=ipv6-only"
        )
    set_ttl(sock, sent=_MAX_TTL)  # as ``listening_socket`` does, for TTL security
    found.bgp[address, port] = sock
