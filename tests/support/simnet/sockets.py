"""Simulated TCP sockets, with the options that BGP sets."""

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from struct import Struct
from typing import TYPE_CHECKING, Any, Self, overload

from bgpd.net.sockets import (
    IP_FREEBIND,
    IP_MINTTL,
    IPV6_MINHOPCOUNT,
    TCP_MD5SIG,
    TCP_MD5SIG_EXT,
)
from tests.support.simnet.readiness import Watchable
from tests.support.simnet.stream import Stream

if TYPE_CHECKING:
    from tests.support.simnet.hosts import Host

SYSTEM_TTL = 64
SYN_WAITS = (
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    32.0,
    64.0,
)  # seconds, as net.ipv4.tcp_syn_retries has it
_TCP_INFO = Struct("=24xI108xII")  # unacked, segs_out, segs_in
_MD5_TAIL = Struct("=BBHi")
_STORAGE = 128  # octets of a sockaddr_storage
_TTL_OPTIONS = {
    (socket.IPPROTO_IP, socket.IP_TTL): "ttl",
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS): "ttl",
    (socket.IPPROTO_IP, IP_MINTTL): "min_ttl",
    (socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT): "min_ttl",
}

_Prefix = IPv4Network | IPv6Network


class SimSocket(Watchable):
    """A socket of one host; see ``bgpd.net.network.Socket``. asyncio's transports take it, too.

    Attributes:
        host: Whose it is.
        is_gone: No segment gets to it any more: closed, or its host has vanished.
        is_closed: Its program has closed it.
        ttl: Of the segments it sends.
        min_ttl: The least it takes (RFC 5082).
    """

    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, host: "Host", family: int) -> None:
        self.host = host
        self.net = host.net
        super().__init__(self.net.table)
        self.family = family
        self.is_gone = self.is_closed = False
        self.ttl, self.min_ttl = SYSTEM_TTL, 0
        self._keys: dict[_Prefix, bytes] = {}
        self._options: dict[tuple[int, int], int | bytes] = {}
        self._name: tuple[str, int] | None = None
        self._far: SimSocket | None = None
        self._far_name: tuple[str, int] | None = None
        self._inbound: Stream | None = None
        self._outbound: Stream | None = None
        self._backlog: deque[SimSocket] | None = None  # of a listening one
        self._backlog_len = 0
        self._syn: asyncio.TimerHandle | None = None  # of an attempt that is under way
        self._syn_count = 0
        self._error = 0
        self._is_shut = False  # for sending
        self._is_deaf = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SimSocket({self._name}, {self._far_name})"

    def fileno(self) -> int:
        return -1 if self.is_closed else self.number

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  # as in the standard library
        assert not flag, "there is nothing to wait in"

    def gettimeout(self) -> float:
        return 0.0

    # -- options --------------------------------------------------------------------------

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        if level == socket.IPPROTO_TCP and name in (TCP_MD5SIG, TCP_MD5SIG_EXT):
            assert isinstance(value, bytes)
            self._set_key(value, is_prefix=name == TCP_MD5SIG_EXT)
        elif (level, name) in _TTL_OPTIONS:
            assert isinstance(value, int)
            setattr(self, _TTL_OPTIONS[level, name], SYSTEM_TTL if value < 0 else value)
        elif (level, name) == (socket.SOL_SOCKET, socket.SO_BINDTODEVICE):
            raise _error(errno.ENODEV)
        else:
            self._options[level, name] = value

    @overload
    def getsockopt(self, level: int, name: int) -> int: ...

    @overload
    def getsockopt(self, level: int, name: int, size: int) -> bytes: ...

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        if self.is_closed:
            raise _error(errno.EBADF)
        if (level, name) == (socket.SOL_SOCKET, socket.SO_ERROR):
            error, self._error = self._error, 0
            return error
        if (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO):
            return self._info()[:size].ljust(size, b"\0")
        if (level, name) in _TTL_OPTIONS:
            return int(getattr(self, _TTL_OPTIONS[level, name]))
        return self._options.get((level, name), 0)

    def _info(self) -> bytes:
        if self._backlog is not None:
            return _TCP_INFO.pack(len(self._backlog), 0, 0)
        if self._outbound is None or self._inbound is None:
            return _TCP_INFO.pack(int(self._syn is not None), self._syn_count, 0)
        # What arrived was acknowledged, by a segment that counts on either side.
        sent = self._outbound.sent_count + self._inbound.arrived_count
        received = self._inbound.arrived_count + self._outbound.arrived_count
        return _TCP_INFO.pack(self._outbound.unacknowledged, sent, received)

    def _set_key(self, value: bytes, *, is_prefix: bool) -> None:
        family = int.from_bytes(value[:2], "little")
        plain = value[4:8] if family == socket.AF_INET else value[8:24]
        _, prefix_len, key_len, _ = _MD5_TAIL.unpack_from(value, _STORAGE)
        at = _STORAGE + _MD5_TAIL.size
        length = prefix_len if is_prefix else 8 * len(plain)
        prefix = ip_network((plain, length), strict=False)
        if key_len:
            self._keys[prefix] = value[at : at + key_len]
        elif self._keys.pop(prefix, None) is None:
            raise _error(errno.ENOENT)

    def key_for(self, address: str) -> bytes:
        """Return the MD5 key for a far end; empty for none."""
        parsed = ip_address(address)
        found = [prefix for prefix in self._keys if parsed in prefix]
        if not found:
            return b""
        return self._keys[max(found, key=lambda prefix: prefix.prefixlen)]

    # -- names ----------------------------------------------------------------------------

    def bind(self, address: tuple[Any, ...]) -> None:
        addr, port = address[:2]
        is_free = self._options.get((socket.IPPROTO_IP, IP_FREEBIND), 0)
        if not (is_free or self.host.has(addr)):
            raise _error(errno.EADDRNOTAVAIL)
        if port and self.host.listener(addr, port) is not None:
            raise _error(errno.EADDRINUSE)
        self._name = (addr, port or self.host.new_port())

    def getsockname(self) -> tuple[Any, ...]:
        if self.is_closed:
            raise _error(errno.EBADF)
        return self._full(self._name or ("0.0.0.0", 0))

    def getpeername(self) -> tuple[Any, ...]:
        if self.is_closed:
            raise _error(errno.EBADF)
        if self._far_name is None or self._outbound is None or self._is_reset:
            raise _error(errno.ENOTCONN)
        return self._full(self._far_name)

    @property
    def _is_reset(self) -> bool:
        return self._far is None

    def _full(self, name: tuple[str, int]) -> tuple[Any, ...]:
        return name if self.family == socket.AF_INET else (*name, 0, 0)

    # -- connecting -----------------------------------------------------------------------

    def listen(self, backlog: int) -> None:
        assert self._name is not None, "bound first"
        if self.host.listener(*self._name) is not None:
            raise _error(errno.EADDRINUSE)
        self._backlog, self._backlog_len = deque(), backlog
        self.host.listeners[self._name] = self

    def accept(self) -> "tuple[SimSocket, tuple[Any, ...]]":
        assert self._backlog is not None
        if not self._backlog:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        made = self._backlog.popleft()
        return made, made._full(made._far_name or ("", 0))

    def connect(self, address: tuple[Any, ...]) -> None:
        number = self.connect_ex(address)
        raise BlockingIOError(number, os.strerror(number))

    def connect_ex(self, address: tuple[Any, ...]) -> int:
        addr, port = address[:2]
        if self._name is None:
            self._name = (self.host.source_for(addr), self.host.new_port())
        self._far_name = (addr, port)
        self._send_syn(0)
        return errno.EINPROGRESS

    def _send_syn(self, number: int) -> None:
        if number == len(SYN_WAITS):
            self.fail(errno.ETIMEDOUT)
            return
        assert self._far_name is not None
        self._syn_count += 1
        latency = self.net.latency(self.host, self.net.owner(self._far_name[0]))
        self._syn = self.net.loop.call_later(latency, self._syn_arrives, number)

    def _syn_arrives(self, number: int) -> None:
        assert self._far_name is not None
        assert self._name is not None
        there = self.net.owner(self._far_name[0])
        call_later = self.net.loop.call_later
        if there is None or not self.net.passes(self.host, there, self.ttl):
            self._syn = call_later(SYN_WAITS[number], self._send_syn, number + 1)
            return
        latency = self.net.latency(self.host, there)
        door = there.listener(*self._far_name)
        if door is None:
            self._syn = call_later(latency, self.fail, errno.ECONNREFUSED)
        elif not (
            door.takes(self, self._name[0], self._far_name[0])
            and self.takes(door, self._far_name[0], self._name[0])
            and door.has_room()
        ):
            self._syn = call_later(SYN_WAITS[number], self._send_syn, number + 1)
        else:
            self._syn = call_later(latency, self._connected, door)

    def has_room(self) -> bool:
        """Whether one more may wait to be accepted."""
        return self._backlog is not None and len(self._backlog) <= self._backlog_len

    def takes(self, sender: "SimSocket", source: str, target: str) -> bool:
        """Whether segments of another socket pass the key and the least TTL of this one."""
        is_signed = self.key_for(source) == sender.key_for(target)
        ttl = sender.ttl - self.net.hops(self.host, sender.host)
        return is_signed and ttl >= max(1, self.min_ttl)

    def reaches(self, receiver: "SimSocket") -> bool:
        """Whether its segments get to the far end, and are taken there."""
        assert self._name is not None
        assert self._far_name is not None
        return self.net.passes(self.host, receiver.host, self.ttl) and (
            receiver.is_gone or receiver.takes(self, self._name[0], self._far_name[0])
        )

    def _connected(self, door: "SimSocket") -> None:
        self._syn = None
        if door.is_gone or door._backlog is None:
            self.fail(errno.ECONNREFUSED)
            return
        far = SimSocket(door.host, self.family)
        far.ttl, far.min_ttl = door.ttl, door.min_ttl
        far._keys, far._options = dict(door._keys), dict(door._options)
        far._name, far._far_name = self._far_name, self._name
        self._far, far._far = far, self
        self._outbound = far._inbound = Stream(self, far)
        self._inbound = far._outbound = Stream(far, self)
        self.host.connections[self] = None
        far.host.connections[far] = None
        latency = self.net.latency(self.host, far.host)
        self.net.loop.call_later(latency, door._waits, far)
        self.note()

    def _waits(self, made: "SimSocket") -> None:
        if self.is_gone or self._backlog is None:
            made.close()
        else:
            self._backlog.append(made)
            self.note()

    # -- octets ---------------------------------------------------------------------------

    def events(self) -> int:
        if self._backlog is not None:
            return EPOLLIN if self._backlog else 0
        if self._outbound is None or self._inbound is None:
            return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP if self._error else 0
        if self._is_reset:
            return EPOLLIN | EPOLLOUT | EPOLLHUP | (EPOLLERR if self._error else 0)
        inbound = self._inbound
        is_readable = inbound.unread or inbound.has_ended or self._is_deaf
        has_room = self._outbound.room >= self.net.buffer // 3
        return (EPOLLIN if is_readable else 0) | (EPOLLOUT if has_room else 0)

    def recv(self, size: int) -> bytes:
        inbound = self._inbound
        if inbound is not None and inbound.unread and not self.is_closed:
            return inbound.take(size)
        self._raise_error()
        if inbound is None:
            raise _error(errno.ENOTCONN)
        if inbound.has_ended or self._is_reset or self._is_deaf:
            return b""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def recv_into(self, buffer: memoryview) -> int:
        octets = self.recv(len(buffer))
        buffer[: len(octets)] = octets
        return len(octets)

    def send(self, octets: bytes | memoryview) -> int:
        self._raise_error()
        if self._outbound is None:
            raise _error(errno.ENOTCONN)
        if self._is_reset or self._is_shut:
            raise _error(errno.EPIPE)
        sent = self._outbound.put(bytes(octets))
        if octets and not sent:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return sent

    def sendmsg(self, buffers: Sequence[bytes | memoryview]) -> int:
        return self.send(b"".join(buffers))

    def sendall(self, octets: bytes) -> None:
        """Send all of it; there must be room."""
        assert self.send(octets) == len(octets)

    def _raise_error(self) -> None:
        if self.is_closed:
            raise _error(errno.EBADF)
        if self._error:
            error, self._error = self._error, 0
            raise _error(error)

    # -- ends -----------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """End one direction, or both."""
        if self._is_reset or self._outbound is None:
            raise _error(errno.ENOTCONN)
        if how != socket.SHUT_RD and not self._is_shut:
            self._is_shut = True
            self._outbound.end()
        if how != socket.SHUT_WR:
            self._is_deaf = True
            self.note()

    def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.net.table.remove(self.number)
        if self.is_gone:
            return
        self._leave()
        if self._backlog is not None:
            for waiting in self._backlog:
                waiting.reset()
        elif self._outbound is not None and self._inbound is not None and self._far:
            linger = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER), b"")
            if self._inbound.unread or linger == b"\1\0\0\0\0\0\0\0":
                self._send_reset()
            elif not self._is_shut:
                self._outbound.end()

    def reset(self) -> None:
        """Close it, and reset the connection."""
        self.is_closed = True
        self.net.table.remove(self.number)
        self._leave()
        self._send_reset()

    def vanish(self) -> None:
        """Its host has lost it, without a word to the far end, nor to its program."""
        self._leave()
        if self._outbound is not None:
            self._outbound.kill()

    def _leave(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self.host.connections.pop(self, None)
        if self._backlog is not None and self._name is not None:
            self.host.listeners.pop(self._name, None)
        if self._syn is not None:
            self._syn.cancel()
            self._syn = None

    def _send_reset(self) -> None:
        if self._outbound is not None and self._far is not None:
            self._outbound.reset()

    def answer_reset(self, sender: "SimSocket") -> None:
        """Send a RST to a sender whose data went to a socket that does not exist."""
        latency = self.net.latency(self.host, sender.host)
        self.net.loop.call_later(latency, self._reset_arrives, sender)

    def _reset_arrives(self, sender: "SimSocket") -> None:
        if self.net.passes(self.host, sender.host, self.ttl):
            sender.fail(errno.ECONNRESET)

    def fail(self, number: int) -> None:
        """Break for an error, which who reads meets after what has arrived."""
        if self.is_gone or (self._outbound is not None and self._far is None):
            return
        self._syn = None
        self._error = number
        self._far = None
        for stream in (self._inbound, self._outbound):
            if stream is not None:
                stream.kill()
        self.note()


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
