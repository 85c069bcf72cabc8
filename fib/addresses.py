"""This machine's addresses: which of them to name as a next hop, and when that changes.

A session over one address family that carries the other (RFC 4760, RFC 2545) announces a
next hop of the other family: an address of the interface that the session runs over. One
that will be there tomorrow is better than one on its way out (RFC 4862 5.5.4), than one
that is replaced every day (RFC 8981), and than one that moves to another machine.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from fib.errors import FibError
from fib.gathered_events import GatheredEvents
from fib.netlink.rtnetlink import (
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_OPTIMISTIC,
    IFA_F_PERMANENT,
    IFA_F_SECONDARY,
    IFA_F_TENTATIVE,
    RTM_DELADDR,
    RTM_NEWADDR,
    RTM_NEWROUTE,
    RTN_UNICAST,
    Message,
    address_dump,
    address_flags,
    parse_address_message,
    parse_route,
    route_lookup,
)
from fib.netlink.sockets import ask_once, dump_small
from rib.zones import is_link_local

GATHER: Final = 0.1  # seconds; what changes in one moment is one change
_LOOPBACK_LINK: Final = 1  # Linux numbers lo first in every namespace
_LOOPBACK_V6: Final = bytes(15) + b"\1"


class OwnAddress(NamedTuple):
    """An address of a device.

    Attributes:
        link: The device's number.
        address: 4 or 16 octets.
        length_bits: Of its prefix.
        flags: ``IFA_F_*`` of ``fib.netlink.rtnetlink``.
    """

    link: int
    address: bytes
    length_bits: int
    flags: int


def choose_sibling(known: Iterable[OwnAddress], local: bytes, octets: int) -> bytes:
    """Return an address of the other family on the interface that has ``local``.

    Args:
        known: All addresses of the machine.
        local: 4 or 16 octets.
        octets: Length of the address wanted, 4 or 16.

    Returns:
        A global address of that interface; else one of another interface; empty where
        the machine has none.
    """
    known = tuple(known)
    links = {entry.link for entry in known if entry.address == local}
    ranked = [
        (entry.link not in links, *_rank(entry))
        for entry in known
        if len(entry.address) == octets
        and _is_usable(entry)
        and not is_link_local(entry.address)
        and _is_loopback(entry.address) <= _is_loopback(local)
        and (entry.link in links or entry.link != _LOOPBACK_LINK)
    ]
    return min(ranked)[-1] if ranked else b""


def choose_link_local(known: Iterable[OwnAddress], link: int) -> bytes:
    """Return the IPv6 link-local address of a device; empty where it has none.

    Args:
        known: All addresses of the machine.
        link: The device's number.
    """
    ranked = [
        _rank(entry)
        for entry in known
        if entry.link == link and is_link_local(entry.address) and _is_usable(entry)
    ]
    return min(ranked)[-1] if ranked else b""


def _rank(entry: OwnAddress) -> tuple[bool, bool, bool, bool, bytes]:
    """Return what an address is compared by; the lowest is the best."""
    is_host = entry.length_bits == 8 * len(entry.address)
    return (
        bool(entry.flags & IFA_F_DEPRECATED),
        # A virtual address, as of kube-vip and keepalived; DHCPv6 gives those of its
        # hosts a lifetime.
        is_host and bool(entry.flags & IFA_F_PERMANENT),
        bool(entry.flags & IFA_F_SECONDARY),  # of IPv6: a temporary one
        is_host,
        entry.address,
    )


def _is_usable(entry: OwnAddress) -> bool:
    """Whether packets to an address arrive here (RFC 4862 5.4, RFC 4429)."""
    if entry.flags & IFA_F_DADFAILED:
        return False
    return not entry.flags & IFA_F_TENTATIVE or bool(entry.flags & IFA_F_OPTIMISTIC)


def _is_loopback(address: bytes) -> bool:
    return address == _LOOPBACK_V6 or (len(address) == 4 and address[0] == 127)


def device_towards(address: bytes) -> int:
    """Return the number of the device that a neighbour is on; 0 where it is not next door.

    Args:
        address: The neighbour's, 4 or 16 octets.

    Raises:
        FibError: The kernel cannot be asked, or has no route.
    """
    for data, item in ask_once(route_lookup(address)):
        route = None
        if item.type == RTM_NEWROUTE:
            route = parse_route(data, item.start, item.end)
        if route is not None and route.image[0] == RTN_UNICAST:
            for gateway, link, _, _ in route.image[3]:
                return 0 if gateway else link
    return 0


class AddressTable:
    """Follows the machine's addresses.

    Args:
        changed: Called some milliseconds after they changed.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self._known: dict[tuple[int, bytes], OwnAddress] = {}
        self._is_lost = False
        self._events = GatheredEvents(
            ("ipv4_address", "ipv6_address"),
            self._handle,
            self._handle_overflow,
            changed,
            GATHER,
        )

    @property
    def is_followed(self) -> bool:
        """Whether changes are heard of."""
        return self._events.is_open

    def start(self) -> None:
        """Begin to follow; from within the event loop.

        Raises:
            FibError: The kernel cannot be listened to.
        """
        self._events.start(self._load)

    def close(self) -> None:
        """Stop."""
        self._events.close()

    def known(self) -> Iterable[OwnAddress]:
        """Return all addresses; asked of the kernel while they are not followed.

        Raises:
            FibError: The kernel cannot be asked.
        """
        if self._is_lost or not self.is_followed:
            self._load()
        return self._known.values()

    def _load(self) -> None:
        self._known = {
            (entry.link, entry.address): entry
            for data, item in dump_small(address_dump())
            if item.type == RTM_NEWADDR
            for entry in (_parse(data, item),)
        }
        self._is_lost = False

    def _handle(self, data: bytes, items: Iterable[Message]) -> None:
        for item in items:
            if item.type not in (RTM_NEWADDR, RTM_DELADDR):
                continue
            entry = _parse(data, item)
            key = entry.link, entry.address
            if item.type == RTM_DELADDR:
                is_news = self._known.pop(key, None) is not None
            else:
                is_news = self._known.get(key) != entry
                self._known[key] = entry
            if is_news:
                self._events.notify_soon()

    def _handle_overflow(self) -> None:
        self._is_lost = True
        self._events.notify_soon()


def _parse(data: bytes, item: Message) -> OwnAddress:
    found = parse_address_message(data, item.start, item.end)
    flags = address_flags(data, item.start)
    return OwnAddress(found.link, found.address, found.length_bits, flags)


__all__ = [
    "AddressTable",
    "FibError",
    "OwnAddress",
    "choose_link_local",
    "choose_sibling",
    "device_towards",
]
