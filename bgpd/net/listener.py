"""Listening sockets and accepted connections.

The kernel checks MD5 signatures before a connection is accepted, so keys are set on the
listening sockets: one per peer, or one for a whole prefix.

The kernel's keys know no zone. A key for a link-local address is set on a socket of its own
that takes the connections of that device alone, so that the same address may have another
key, or none, on another link.

A socket may listen long before anybody is accepted: who connects then is not refused, but
waits in the kernel's queue until it is known who the peers are. One that got there before
its key was set has proved nothing and is closed.
"""

import errno
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address
from select import EPOLLIN
from struct import Struct
from typing import Final

from bgpd.net.network import Socket
from bgpd.net.poller import Poller
from bgpd.net.sockets import (
    BACKLOG,
    SocketError,
    family_of,
    listening_socket,
    network,
    set_md5_key,
    start_listening,
    zone_socket,
)
from bgpd.net.tcp_connection import Connection
from bgpd.session.zones import split_zone, with_zone

_log = logging.getLogger(__name__)


# Accepting would fail again at once, for want of descriptors or memory.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REST: Final = 1.0  # seconds without accepting, then
_MOST: Final = 16  # connections accepted in a row: a session each begins
_WAITING: Final = Struct("=24xI")
"""Of struct tcp_info, tcpi_unacked: on a listening socket those who wait to be accepted."""

Place = tuple[str, int]
"""Address and port."""


class _ListeningSocket:
    """One listening socket.

    Args:
        poller: Reports incoming connections.
        sock: Listening.
        accept: Takes each connection.
        must_prove: Tells whether a key is demanded of an address.
        is_elsewhere: Tells whether a key is demanded of an address that another socket has.
        is_open: Whether those who connect are accepted already.
    """

    def __init__(
        self,
        poller: Poller,
        sock: Socket,
        accept: Callable[[Connection], None],
        must_prove: Callable[[str], bool],
        is_elsewhere: Callable[[str], bool],
        *,
        is_open: bool,
    ) -> None:
        self.sock = sock
        self._poller = poller
        self._accept = accept
        self._must_prove = must_prove
        self._is_elsewhere = is_elsewhere
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
        """Discard connections that arrived before the key."""
        if not self._is_open:
            info = self.sock.getsockopt(
                socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING.size
            )
            (self._unproved_count,) = _WAITING.unpack(info)

    def ready(self, _events: int) -> None:
        """Accept some waiting connections."""
        for _ in range(_MOST):
            try:
                sock, _ = self.sock.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(error)
                return  # no connection waits, or it is already gone (accept(2))
            sock.setblocking(False)
            connection = Connection(self._poller, sock)
            if not self._has_proved(connection.address_pair()[1]):
                connection.close()
                continue
            try:
                self._accept(connection)
            except BaseException:
                connection.close()  # no other code would
                raise

    def _has_proved(self, remote: str) -> bool:
        """Whether the kernel has checked the key required of an address."""
        is_early = self._unproved_count > 0
        if is_early:
            self._unproved_count -= 1
        if is_early and self._must_prove(remote):
            return False
        return "%" not in remote or not self._is_elsewhere(remote)

    def _rest(self, error: OSError) -> None:
        address, port = self.sock.getsockname()[:2]
        _log.error(
            "cannot accept connections on %(local_address)s port %(port)d: %(reason)s; "
            "retrying in %(seconds)d s",
            {
                "event": "accept-failed",
                "local_address": address,
                "port": port,
                "reason": error.strerror,
                "seconds": _REST,
            },
        )
        self._poller.watch(self.sock.fileno(), 0)
        self._poller.loop.call_later(_REST, self._go_on)

    def _go_on(self) -> None:
        if self.sock.fileno() >= 0:
            self._poller.watch(self.sock.fileno(), EPOLLIN)

    def give_up(self) -> None:
        """Go on with the others: the error affects only one connection."""

    def close(self) -> None:
        self._poller.remove(self.sock.fileno())
        self.sock.close()


class Listener:
    """Listens on any number of addresses.

    Args:
        poller: Reports incoming connections.
        accept: Takes each connection, or closes it.
    """

    def __init__(self, poller: Poller, accept: Callable[[Connection], None]) -> None:
        self._poller = poller
        self._accept = accept
        self._listening: dict[Place, _ListeningSocket] = {}
        self._zone_listening: dict[tuple[Place, str], tuple[int, _ListeningSocket]] = {}
        self._keys: dict[str, str] = {}
        self._ready_made: dict[Place, Socket] = {}
        self._is_open = True

    @property
    def addresses(self) -> list[Place]:
        """Its addresses and ports."""
        return list(self._listening)

    def hold(self, sockets: Mapping[Place, Socket]) -> None:
        """Let connections wait in the kernel until ``open``.

        Args:
            sockets: That listen already; ``listen`` uses them, ``open`` closes the others.
        """
        self._is_open = False
        self._ready_made = dict(sockets)

    def open(self) -> None:
        """Accept waiting connections and all later ones."""
        self._is_open = True
        for listening in self._all_listening():
            listening.open()
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
        if (addr, port) in self._listening:
            return
        is_ready_made = (addr, port) in self._ready_made
        sock = self._ready_made.pop((addr, port), None) or listening_socket(
            addr, port, is_free=True, network=self._poller.network
        )
        try:
            self._set_keys(sock, "")
            if not is_ready_made:
                start_listening(sock, BACKLOG)
        except SocketError:
            sock.close()
            raise
        self._listening[addr, port] = self._make_listening(sock, "")
        _log.info(
            "listening on %(local_address)s port %(port)d",
            {"event": "listening", "local_address": addr, "port": port},
        )
        self.follow_links()

    def _make_listening(self, sock: Socket, zone: str) -> _ListeningSocket:
        listening = _ListeningSocket(
            self._poller,
            sock,
            self._accept,
            self._must_prove,
            partial(self._is_elsewhere, zone),
            is_open=self._is_open,
        )
        if self._keys:
            listening.key_was_set()
        return listening

    def _all_listening(self) -> list[_ListeningSocket]:
        return [
            *self._listening.values(),
            *(listening for _, listening in self._zone_listening.values()),
        ]

    def follow_links(self) -> None:
        """Listen on the devices whose zones have keys; a recreated one has a new number."""
        zones = {zone for who in self._keys if (zone := split_zone(who)[1])}
        places = [place for place in self._listening if place[0] == "::"]
        wanted = {(place, zone): _number_of(zone) for place in places for zone in zones}
        for key, (number, listening) in [*self._zone_listening.items()]:
            if wanted.get(key) != number:
                del self._zone_listening[key]
                listening.close()
        for key, number in wanted.items():
            if number and key not in self._zone_listening:
                self._listen_in(*key, number)

    def _listen_in(self, place: Place, zone: str, number: int) -> None:
        try:
            sock = zone_socket(
                self._listening[place].sock, *place, zone, self._poller.network
            )
        except SocketError as error:
            self._report(place, zone, error)
            return
        try:
            self._set_keys(sock, zone)
        except SocketError as error:
            sock.close()
            self._report(place, zone, error)
            return
        self._zone_listening[place, zone] = number, self._make_listening(sock, zone)

    @staticmethod
    def _report(place: Place, zone: str, error: SocketError) -> None:
        _log.error(
            "%(reason)s",  # the text says it all
            {
                "event": "listen-failed",
                "reason": error.strerror,
                "local_address": place[0],
                "port": place[1],
                "interface": zone,
            },
        )

    def ignore(self, addr: str, port: int) -> None:
        """Stop listening on one address; accepted connections live on."""
        listening = self._listening.pop((addr, port), None)
        if listening is not None:
            listening.close()
            self.follow_links()

    def set_key(self, who: str, key: str) -> None:
        """Require MD5 signatures from an address or a prefix; an empty key ends that.

        Raises:
            SocketError: The kernel refused; the text says why.
        """
        if self._keys.get(who, "") == key:
            return
        if key:
            self._keys[who] = key
        else:
            del self._keys[who]
        self.follow_links()
        plain, zone = split_zone(who)
        for listening in self._listening.values():
            if not zone:
                _set_key(listening.sock, who, key)
            listening.key_was_set()
        for (_, where), (_, listening) in self._zone_listening.items():
            if zone in ("", where):
                # Taken away in a zone, it may be there for all zones.
                _set_key(listening.sock, plain, self._key_in(where, plain))
            listening.key_was_set()

    def _key_in(self, zone: str, plain: str) -> str:
        """Return the key of an address or prefix in a zone."""
        return self._keys.get(with_zone(plain, zone)) or self._keys.get(plain, "")

    def _set_keys(self, sock: Socket, zone: str) -> None:
        """Set all keys that hold for a socket: for all zones, or for one of them."""
        for who in self._keys:
            plain, where = split_zone(who)
            if where in ("", zone):
                _set_key(sock, plain, self._key_in(zone, plain))

    def _must_prove(self, remote: str) -> bool:
        """Whether an address, or a prefix that it is in, has a key."""
        if not remote or remote in self._keys:
            return True
        return any("/" in who and _is_in(remote, who) for who in self._keys)

    def _is_elsewhere(self, zone: str, remote: str) -> bool:
        """Whether only the socket of another zone requires a key from an address."""
        return any(
            where and where != zone and (remote == who or _is_in(remote, who))
            for who in self._keys
            if (where := split_zone(who)[1])
        )

    def close(self) -> None:
        """Stop listening everywhere."""
        for addr, port in self.addresses:
            self.ignore(addr, port)
        self._close_ready_made()


def _number_of(zone: str) -> int:
    """Return a device's number; 0 while there is none."""
    try:
        return socket.if_nametoindex(zone)
    except OSError:
        return 0


def _is_in(remote: str, prefix: str) -> bool:
    """Whether an address is in a prefix, and in its zone if it has one."""
    mine, my_zone = split_zone(remote)
    zone = split_zone(prefix)[1]
    return (
        "/" in prefix and zone in ("", my_zone) and ip_address(mine) in network(prefix)
    )


def _set_key(sock: Socket, who: str, key: str) -> None:
    if family_of(who) != sock.family:
        return
    if "/" not in who:
        set_md5_key(sock, who, key)
        return
    prefix = network(who)
    set_md5_key(sock, str(prefix.network_address), key, prefix.prefixlen)


__all__ = ["BACKLOG", "Listener", "SocketError"]
