"""Listening sockets, and whose connection an accepted one is.

The kernel checks MD5 signatures before a connection is accepted, so keys are set on the
listening sockets: one per peer, or one for a whole prefix.
"""

import errno
import logging
import socket
from collections.abc import Callable
from select import EPOLLIN
from typing import Final

from bgpd.net.connection import Connection
from bgpd.net.poller import Poller
from bgpd.net.sockets import (
    SocketError,
    family_of,
    listening_socket,
    network,
    set_md5_key,
    start_listening,
)

BACKLOG: Final = 4096  # thousands of clients return at once after a reflector's restart

_log = logging.getLogger(__name__)


# Accepting would fail again at once, for want of descriptors or memory.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REST: Final = 1.0  # seconds without accepting, then
_MOST: Final = 16  # connections accepted in a row: a session each begins


class _Door:
    """One listening socket."""

    def __init__(
        self, poller: Poller, sock: socket.socket, accept: Callable[[Connection], None]
    ) -> None:
        self.sock = sock
        self._poller = poller
        self._accept = accept
        poller.add(sock.fileno(), self)

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
            self._accept(Connection(self._poller, sock))

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
        self._doors: dict[tuple[str, int], _Door] = {}
        self._keys: dict[str, str] = {}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return list(self._doors)

    def listen(self, addr: str, port: int) -> None:
        """Listen on one more address.

        Raises:
            SocketError: The kernel refused; the text says why.
        """
        if (addr, port) in self._doors:
            return
        sock = listening_socket(addr, port, is_free=True)
        try:
            for who, key in self._keys.items():
                self._set_key(sock, who, key)
            start_listening(sock, BACKLOG)
        except SocketError:
            sock.close()
            raise
        self._doors[addr, port] = _Door(self._poller, sock, self._accept)
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


__all__ = ["BACKLOG", "Listener", "SocketError"]
