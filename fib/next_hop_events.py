"""Notices that a way out may have opened: a link with carrier, an address, a route.

And that a link is gone, with all that ran over it.

For code that waits to reach a peer and wants to retry at once. The only table kept is which links
are up and which have addresses, so that a daemon without the kernel's table can afford it
beside any number of routes.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from fib.gathered_events import GatheredEvents
from fib.netlink.rtnetlink import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    AddressMessage,
    Message,
    address_dump,
    is_tentative,
    link_dump,
    parse_address_message,
    parse_link,
    parse_route,
)
from fib.netlink.socket_filter import ignore_routes_of
from fib.netlink.sockets import dump_small
from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import make_nlri
from rib.zones import is_link_local

GATHER: Final = 0.05  # seconds; events of one moment are reported together
MOST_PREFIXES: Final = (
    64  # reported one by one; with more, every prefix may have changed
)

Prefix = tuple[int, bytes]  # afi, NLRI


class Opened(NamedTuple):
    """Ways that may have opened.

    Attributes:
        is_any: Any way may have.
        links: Names of links that came up, or that now have our link-local address.
        prefixes: Of new routes and addresses.
        addresses: New ones of this machine, 4 or 16 octets.
        gone: Names of links that are no more; others of the same name may be there.
    """

    is_any: bool
    links: frozenset[str]
    prefixes: frozenset[Prefix]
    addresses: frozenset[bytes]
    gone: frozenset[str] = frozenset()

    def leads_to(
        self, address: bytes, interface: str = "", source: bytes = b""
    ) -> bool:
        """Return whether the way to a peer may be among them.

        Args:
            address: Of 4 or 16 octets.
            interface: The device that is used; empty where the kernel chooses.
            source: The address to come from; empty where the kernel chooses.
        """
        if self.is_any or interface in self.links or source in self.addresses:
            return True
        afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
        return any(
            afi == other and nlri == make_nlri(address, nlri[0])
            for other, nlri in self.prefixes
        )


class NextHopEvents:
    """Follows the kernel's notifications.

    Args:
        opened: Called with what may have opened.
        protocol: Of our own routes, which open no way.
    """

    def __init__(self, opened: Callable[[Opened], object], protocol: int) -> None:
        self._opened = opened
        self._events = GatheredEvents(
            ("link", "ipv4_address", "ipv6_address", "ipv4_route", "ipv6_route"),
            self._handle,
            self._handle_overflow,
            self._notify,
            GATHER,
            socket_filter=ignore_routes_of(protocol),
        )
        self._up: dict[int, bool] = {}
        self._names: dict[int, str] = {}
        self._addresses: set[AddressMessage] = set()
        self._clear()

    def _clear(self) -> None:
        self._is_any = False
        self._links: set[str] = set()
        self._prefixes: set[Prefix] = set()
        self._new_addresses: set[bytes] = set()
        self._gone: set[str] = set()

    def start(self) -> None:
        """Begin to follow; from within the event loop.

        Raises:
            FibError: The kernel cannot be listened to.
        """
        self._events.start(self._load)

    def close(self) -> None:
        """Stop."""
        self._events.close()

    def _load(self) -> None:
        for data, item in dump_small(link_dump()):
            if item.type == RTM_NEWLINK:
                link = parse_link(data, item.start, item.end)
                self._up[link.link] = link.is_up
                self._names[link.link] = link.name
        self._addresses = {
            parse_address_message(data, item.start, item.end)
            for data, item in dump_small(address_dump())
            if item.type == RTM_NEWADDR
        }

    def _handle_overflow(self) -> None:
        self._is_any = True
        self._events.notify_soon()

    def _handle(self, data: bytes, items: Iterable[Message]) -> None:
        for item in items:
            if item.type == RTM_NEWROUTE:
                route = parse_route(data, item.start, item.end)
                if route is not None:
                    self._open((route.afi, route.nlri))
            elif item.type == RTM_NEWLINK:
                self._handle_link(data, item)
            elif item.type == RTM_DELLINK:
                lost = parse_link(data, item.start, item.end)
                self._up.pop(lost.link, None)
                self._names.pop(lost.link, None)
                self._gone.add(lost.name)
                self._events.notify_soon()
            elif item.type == RTM_NEWADDR:
                self._handle_address(data, item)
            elif item.type == RTM_DELADDR:
                gone = parse_address_message(data, item.start, item.end)
                self._addresses.discard(gone)

    def _handle_link(self, data: bytes, item: Message) -> None:
        link = parse_link(data, item.start, item.end)
        was_up = self._up.get(link.link, False)
        self._up[link.link] = link.is_up
        self._names[link.link] = link.name
        if link.is_up and not was_up:
            self._links.add(link.name)
            # A link without addresses, as a container's, rarely leads to a peer. Over
            # the others anything may be reached, routed as well as next door.
            self._is_any |= any(
                known.link == link.link and not is_link_local(known.address)
                for known in self._addresses
            )
            self._events.notify_soon()

    def _handle_address(self, data: bytes, item: Message) -> None:
        new = parse_address_message(data, item.start, item.end)
        self._addresses.add(new)
        if is_tentative(data, item.start):
            return  # nothing can be bound to it yet; the kernel tells again
        self._new_addresses.add(new.address)
        if is_link_local(new.address):
            # No peer on the link could be reached by such an address before.
            if new.link in self._names:
                self._links.add(self._names[new.link])
        else:
            afi = AFI_IPV4 if len(new.address) == 4 else AFI_IPV6
            self._open((afi, make_nlri(new.address, new.length_bits)))
        self._events.notify_soon()

    def _open(self, prefix: Prefix) -> None:
        if len(self._prefixes) < MOST_PREFIXES:
            self._prefixes.add(prefix)
        elif prefix not in self._prefixes:
            self._is_any = True
        self._events.notify_soon()

    def _notify(self) -> None:
        opened = Opened(
            self._is_any,
            frozenset(self._links),
            frozenset(self._prefixes),
            frozenset(self._new_addresses),
            frozenset(self._gone),
        )
        self._clear()
        self._opened(opened)
