"""Our own next hop on each session, and what to do when our addresses change.

A session over IPv4 that carries IPv6 names an IPv6 address of the same interface, and the
other way round. That address may be renumbered, deprecated or come later than the session:
then the peers concerned are sent the routes again, with what is right now, and no session
is reset.
"""

import logging
import socket
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from bgpd.session.negotiation import Negotiated
from fib.addresses import (
    AddressTable,
    choose_link_local,
    choose_sibling,
    device_towards,
)
from fib.errors import FibError
from rib.family import ADDRESS_OCTETS, IPV6_UNICAST, Family
from rib.nlri import format_address, parse_address
from rib.zones import is_link_local

_MEMO_MAX: Final = 4096  # choices remembered; our own addresses and links are fewer

_K = TypeVar("_K")

_log = logging.getLogger(__name__)


class LocalAddresses:
    """Chooses our next hops among our addresses.

    Args:
        follow: Called when a choice has come to something else: the sessions concerned
            change to the present addresses.
    """

    def __init__(self, follow: Callable[[], None]) -> None:
        self._follow = follow
        self._table = AddressTable(self._changed)
        self._siblings: dict[tuple[bytes, int], bytes] = {}
        self._link_locals: dict[str, bytes] = {}

    def start(self) -> None:
        """Follow the kernel's addresses from now on; log a failure."""
        try:
            self._table.start()
        except (FibError, OSError) as error:
            _log.warning(
                "cannot watch the local addresses; sessions keep their next hops: "
                "%(reason)s",
                {"event": "local-addresses-unwatched", "reason": error},
            )

    def close(self) -> None:
        """Stop following."""
        self._table.close()

    def next_hop(
        self, family: Family, local_addr: str, own: Collection[bytes]
    ) -> bytes:
        """Return our next hop for ``family`` on a session from ``local_addr``.

        A session over the other address family takes the node's own address of this one,
        else an address of the same interface; without one, routes that need it
        are not sent.

        Args:
            family: AFI and SAFI.
            local_addr: Our end of the session.
            own: The node's own addresses, octets.
        """
        octets = parse_address(local_addr.partition("%")[0]) if local_addr else b""
        wanted = ADDRESS_OCTETS[family.afi]
        if len(octets) == wanted:
            return octets
        mine = [each for each in own if len(each) == wanted]
        if len(mine) == 1:
            return mine[0]
        return self._sibling(octets, wanted) or octets

    def link_local(self, zone: str) -> bytes:
        """Return our link-local address on a link; empty if there is none."""
        known = self._link_locals.get(zone) if self._table.is_followed else None
        if known is None:
            known = self._choose_link_local(zone)
            _remember(self._link_locals, zone, known)
        return known

    def _sibling(self, local: bytes, wanted: int) -> bytes:
        key = local, wanted
        known = self._siblings.get(key) if self._table.is_followed else None
        if known is None:
            known = self._choose_sibling(local, wanted)
            is_news = self._siblings.get(key) != known
            _remember(self._siblings, key, known)
            if is_news and not known:
                _log.warning(
                    "no IPv%(ip_version)d address to use as next hop on sessions from "
                    "%(local_address)s: not sending routes that need one",
                    {
                        "event": "next-hop-missing",
                        "ip_version": 4 if wanted == 4 else 6,
                        "local_address": _text(local),
                    },
                )
        return known

    def _choose_sibling(self, local: bytes, wanted: int) -> bytes:
        try:
            return choose_sibling(self._table.known(), local, wanted)
        except FibError as error:
            _log.warning(
                "cannot read the local addresses: %(reason)s",
                {"event": "local-addresses-unknown", "reason": error},
            )
            return b""

    def _choose_link_local(self, zone: str) -> bytes:
        try:
            return choose_link_local(self._table.known(), socket.if_nametoindex(zone))
        except (FibError, OSError):
            return b""  # the link is gone, and the session will be

    # -- when they change ---------------------------------------------------------------

    def _changed(self) -> None:
        """Choose again; make the sessions follow if the result differs."""
        has_changed = False
        for (local, wanted), before in [*self._siblings.items()]:
            now = self._choose_sibling(local, wanted)
            if now != before:
                has_changed = True
                self._siblings[local, wanted] = now
                _log.log(
                    logging.INFO if now else logging.WARNING,
                    "next hop on sessions from %(local_address)s is now %(next_hop)s "
                    "(was %(old_next_hop)s)",
                    {
                        "event": "next-hop-changed",
                        "local_address": _text(local),
                        "next_hop": _text(now),
                        "old_next_hop": _text(before),
                    },
                )
        for zone, before in [*self._link_locals.items()]:
            now = self._choose_link_local(zone)
            has_changed |= now != before
            self._link_locals[zone] = now
        if has_changed:
            self._follow()


def zone_of(remote_addr: str, negotiated: Negotiated) -> str:
    """Return the interface of a directly connected neighbour; empty for any other.

    Link-local next hops mean that link (RFC 2545 3, RFC 4007). It is not asked for where
    a session carries no IPv6 next hops.

    Args:
        remote_addr: The neighbour's address; a link-local one with its zone.
        negotiated: Of the session.
    """
    address, _, zone = remote_addr.partition("%")
    if zone:
        return zone
    if IPV6_UNICAST not in negotiated.families and not negotiated.extended_next_hop:
        return ""
    try:
        link = device_towards(parse_address(address))
        return socket.if_indextoname(link) if link else ""
    except (FibError, OSError):
        return ""


def with_link_local(local: bytes, link_local: bytes) -> bytes:
    """Return our next-hop field (RFC 2545 3).

    Args:
        local: Our address, 4 or 16 octets.
        link_local: Our link-local address on the link that we share with the peer; empty
            where we share none.
    """
    if len(local) != len(link_local) or is_link_local(local):
        return local
    return local + link_local


def _remember(memo: dict[_K, bytes], key: _K, value: bytes) -> None:
    if len(memo) >= _MEMO_MAX:
        memo.clear()
    memo[key] = value


def _text(address: bytes) -> str:
    return format_address(address) if address else "none"
