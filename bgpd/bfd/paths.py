"""UDP sockets of BFD: ports, TTL, source ports, the kernel's filter (RFC 5881 4, 5; RFC 5883 5)."""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from random import Random
from typing import Final, NamedTuple

from bgpd.bfd.messages import Target
from bgpd.bfd.session_table import Source
from bgpd.bfd.socket_filter import INSTRUCTION, socket_filter

ONE_HOP_PORT: Final = 3784
MULTIHOP_PORT: Final = 4784
_FIRST_SOURCE_PORT: Final = 49152  # RFC 5881 4
_LAST_SOURCE_PORT: Final = 65535
_TRIES: Final = 64  # source ports
MAX_TTL: Final = 255
_DSCP_CS6: Final = 0xC0  # network control, RFC 4594 3.1
_RECEIVE_BUFFER: Final = 1 << 20  # octets: a second of a thousand sessions
_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_IPV6_RECVHOPLIMIT: Final = 51  # linux/in6.h
_IP_RECVTTL: Final = 12  # linux/in.h
_NO_FAULT: Final = (errno.EAGAIN, errno.ENOBUFS, errno.ECONNREFUSED, errno.EPERM)
"""What ``send`` may say although the path is as it was: a full queue, a host without BFD, a firewall."""


class Door(NamedTuple):
    """What distinguishes receiving sockets.

    Attributes:
        is_ipv6: The family.
        is_multihop: The port.
        interface: Device; empty for all.
    """

    is_ipv6: bool
    is_multihop: bool
    interface: str

    @property
    def port(self) -> int:
        """UDP port."""
        return MULTIHOP_PORT if self.is_multihop else ONE_HOP_PORT


def is_link_local(address: str) -> bool:
    """Whether an IPv6 address needs a zone."""
    return address[:3].lower() == "fe8"


def door_of(target: Target) -> Door:
    """Return where the packets of a session's peer arrive."""
    # The zone of a link-local address is in the source address, so no device is needed.
    bound = "" if is_link_local(target.address) else target.interface
    return Door(":" in target.address, target.is_multihop, bound)


def source_of(target: Target) -> Source:
    """Return where the packets of a session's peer come from.

    Raises:
        OSError: There is no such interface.
    """
    zone = 0
    if is_link_local(target.address):
        zone = socket.if_nametoindex(target.interface)
    return Source(target.address, zone, target.is_multihop)


def receiving_socket(door: Door, beside: Iterable[socket.socket]) -> socket.socket:
    """Return a bound socket that gets nothing before it has a filter for a peer.

    Args:
        door: What it is for.
        beside: Our sockets on the same port for other devices.

    Raises:
        OSError: The port is taken, or there is no such device.
    """
    family = socket.AF_INET6 if door.is_ipv6 else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    others = [made, *beside]
    try:
        made.setblocking(False)
        set_filter(made, door, ())
        with contextlib.suppress(OSError):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if door.is_ipv6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        if door.interface:
            _bind_device(made, door.interface)
        # The port is shared among our own sockets, and only while one is bound: another program
        # that takes it must be noticed.
        _share_port(others, 1)
        made.bind(("::" if door.is_ipv6 else "0.0.0.0", door.port))  # noqa: S104  # filtered by peer
    except OSError:
        made.close()
        raise
    finally:
        _share_port(beside, 0)
    _share_port((made,), 0)
    return made


def _share_port(sockets: Iterable[socket.socket], value: int) -> None:
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, value)


def _bind_device(sock: socket.socket, interface: str) -> None:
    name = interface.encode()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)


def set_filter(sock: socket.socket, door: Door, addresses: Iterable[str]) -> None:
    """Let a socket receive from these peers alone; what waits in it stays."""
    family = socket.AF_INET6 if door.is_ipv6 else socket.AF_INET
    packed = [socket.inet_pton(family, each) for each in addresses]
    program = socket_filter(packed, is_ipv6=door.is_ipv6, is_multihop=door.is_multihop)
    buffer = ctypes.create_string_buffer(program, len(program))
    count = len(program) // INSTRUCTION.size
    head = struct.pack("@HP", count, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def sending_socket(target: Target, source: Source, rng: Random) -> socket.socket:
    """Return a socket that sends to a session's peer, from a port of its own (RFC 5881 4).

    Raises:
        OSError: There is no way to it, or our address or the device is absent.
    """
    is_ipv6 = ":" in target.address
    made = socket.socket(
        socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM
    )
    try:
        made.setblocking(False)
        if is_ipv6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, MAX_TTL)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _DSCP_CS6)
        else:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, MAX_TTL)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _DSCP_CS6)
        if target.interface and not source.zone:
            _bind_device(made, target.interface)
        # It sends only: without this, the peer's packets to that port would wait for ever.
        set_filter(made, door_of(target), ())
        _bind_source(made, target, source, rng)
        port = door_of(target).port
        made.connect(
            (target.address, port, 0, source.zone)
            if is_ipv6
            else (target.address, port)
        )
    except BaseException:
        made.close()
        raise
    return made


def _bind_source(
    sock: socket.socket, target: Target, source: Source, rng: Random
) -> None:
    is_ipv6 = sock.family == socket.AF_INET6
    address = target.local_address or ("::" if is_ipv6 else "0.0.0.0")  # noqa: S104  # sends only
    for left in reversed(range(_TRIES)):
        port = rng.randint(_FIRST_SOURCE_PORT, _LAST_SOURCE_PORT)
        zone = source.zone if is_link_local(address) else 0
        try:
            sock.bind((address, port, 0, zone) if is_ipv6 else (address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not left:
                raise
        else:
            return


def is_path_fault(error: OSError) -> bool:
    """Whether a failed ``send`` means that the socket must be made again."""
    return error.errno not in _NO_FAULT


def ttl_of(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Return the TTL or hop limit of a received packet; 255 where the kernel gives none."""
    for _, _, data in ancillary:
        if len(data) == 4:  # an int of the machine
            return int(struct.unpack("@i", data)[0])
    return MAX_TTL
