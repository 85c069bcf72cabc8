"""Listening sockets, and whose connection an accepted one is.

The kernel checks MD5 signatures before a connection is accepted, so keys are set on the
listening sockets: one per peer, or one for a whole prefix.

A socket may listen long before anybody is accepted: who connects then is not refused, but
waits in the kernel's queue until it is known who the peers are. One that got there before
its key was set has proved nothing and is closed.
"""

import errno
import logging
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from select import EPOLLIN
from struct import Struct
from typing import Final

from bgpd.net.connection import Connection
from bgpd.net.poller import Poller
from bgpd.net.sockets import (
    BACKLOG,
    SocketError,
    family_of,
    listening_socket,
    network,
    set_md5_key,
    start_listening,
)

_log = logging.getLogger(__name__)


# Accepting would fail again at once, for want of descriptors or memory.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REST: Final = 1.0  # seconds without accepting, then
_MOST: Final = 16  # connections accepted in a row: a session each begins
_WAITING: Final = Struct("=24xI")
"""Of struct tcp_info, tcpi_unacked: on a listening socket those who wait to be accepted."""

Place = tuple[str, int]
"""Address and port."""


class _Door:
    """One listening socket.

    Args:
        poller: Tells when somebody connects.
        sock: Listening.
        accept: Takes each connection.
        must_prove: Tells whether a key is demanded of an address.
        is_open: Whether those who connect are accepted already.
    """

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        accept: Callable[[Connection], None],
        must_prove: Callable[[str], bool],
        *,
        is_open: bool,
    ) -> None:
        self.sock = sock
        self._poller = poller
        self._accept = accept
        self._must_prove = must_prove
        self._is_open = is_open
        self._unproved_count = 0  # of those who wait
        poller.add(sock.fileno(), self)
        if not is_open:
            poller.watch(sock.fileno(), 0)

    def open(self) -> None:
        """Accept from now on."""
        if not self._is_open:
            self._is_open = True
            self._poller.watch(self.sock.fileno(), EPOLLIN)

    def key_was_set(self) -> None:
        """Who waits by now came without the key."""
        if not self._is_open:
            info = self.sock.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING.size
            )
            (self._unproved_count,) = _WAITING.unpack(info)

    def ready(self, _events: int) -> None:
        """Accept some of those who wait."""
        for _ in range(_MOST):
            try:
                sock, _ = self.sock.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(error)
                return  # nobody waits, or who did is gone (accept(2))
            sock.setblocking(False)
            connection = Connection(self._poller, sock)
            if self._unproved_count:
                self._unproved_count -= 1
                if self._must_prove(connection.address_pair()[1]):
                    connection.close()
                    continue
            try:
                self._accept(connection)
            except BaseException:
                connection.close()  # nobody else would
                raise

    def _rest(self, error: OSError) -> None:
        _log.error(
            "cannot accept connections on %s port %d: %s; trying again in %d s",
            *self.sock.getsockname()[:2],
            error.strerror,
            _REST,
        )
        self._poller.watch(self.sock.fileno(), 0)
        self._poller.loop.call_later(_REST, self._go_on)

    def _go_on(self) -> None:
        if self.sock.fileno() >= 0:
            self._poller.watch(self.sock.fileno(), EPOLLIN)

    def give_up(self) -> None:
        """Go on with the others: only one connection has met the fault."""

    def close(self) -> None:
        self._poller.remove(self.sock.fileno())
        self.sock.close()


class Listener:
    """Listens on any number of addresses.

    Args:
        poller: Tells when somebody connects.
        accept: Takes each connection, or closes it.
    """

    def __init__(self, poller: Poller, accept: Callable[[Connection], None]) -> None:
        self._poller = poller
        self._accept = accept
        self._doors: dict[Place, _Door] = {}
        self._keys: dict[str, str] = {}
        self._ready_made: dict[Place, socket.socket] = {}
        self._is_open = True

    @property
    def addresses(self) -> list[Place]:
        """Where it listens."""
        return list(self._doors)

    def hold(self, sockets: Mapping[Place, socket.socket]) -> None:
        """Let those who connect wait until ``open``.

        Args:
            sockets: That listen already; ``listen`` uses them, ``open`` closes the others.
        """
        self._is_open = False
        self._ready_made = dict(sockets)

    def open(self) -> None:
        """Accept who waits, and everybody from now on."""
        self._is_open = True
        for door in self._doors.values():
            door.open()
        self._close_ready_made()

    def _close_ready_made(self) -> None:
        for sock in self._ready_made.values():
            sock.close()
        self._ready_made.clear()

    def listen(self, addr: str, port: int) -> None:
        """Listen on one more address.

        Raises:
            SocketError: The kernel refused; the text says why.
        """
        if (addr, port) in self._doors:
            return
        is_ready_made = (addr, port) in self._ready_made
        sock = self._ready_made.pop((addr, port), None) or listening_socket(
            addr, port, is_free=True
        )
        try:
            for who, key in self._keys.items():
                self._set_key(sock, who, key)
            if not is_ready_made:
                start_listening(sock, BACKLOG)
        except SocketError:
            sock.close()
            raise
        door = self._doors[addr, port] = _Door(
            self._poller, sock, self._accept, self._must_prove, is_open=self._is_open
        )
        if self._keys:
            door.key_was_set()
        _log.info("listening on %s port %d", addr, port)

    def ignore(self, addr: str, port: int) -> None:
        """Stop listening on one address; accepted connections live on."""
        door = self._doors.pop((addr, port), None)
        if door is not None:
            door.close()

    def set_key(self, who: str, key: str) -> None:
        """Demand MD5 signatures of an address or a prefix; an empty key ends that.

        Raises:
            SocketError: The kernel refused; the text says why.
        """
        if self._keys.get(who, "") == key:
            return
        if key:
            self._keys[who] = key
        else:
            del self._keys[who]
        for door in self._doors.values():
            self._set_key(door.sock, who, key)
            door.key_was_set()

    def _must_prove(self, remote: str) -> bool:
        """Whether an address, or a prefix that it is in, has a key."""
        if not remote or remote in self._keys:
            return True
        mine = ip_address(remote.partition("%")[0])
        return any("/" in who and mine in network(who) for who in self._keys)

    def _set_key(self, sock: socket.socket, who: str, key: str) -> None:
        if family_of(who) != sock.family:
            return
        if "/" not in who:
            set_md5_key(sock, who, key)
            return
        prefix = network(who)
        set_md5_key(sock, str(prefix.network_address), key, prefix.prefixlen)

    def close(self) -> None:
        """Stop listening everywhere."""
        for addr, port in self.addresses:
            self.ignore(addr, port)
        self._close_ready_made()


__all__ = ["BACKLOG", "Listener", "SocketError"]
