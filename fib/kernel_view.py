"""What other programs keep in the kernel: links, addresses and routes. No socket.

The ground that BGP next hops stand on at last, and where routes to announce are learned.
``fib.kernel_follower`` keeps it at what the kernel has.

The kernel does not tell of IPv4 routes that go with their link or with the last address of
a link. The same is done here by hand: what cannot stand any more is taken out.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fib.kernel_links import Links
from fib.netlink.rtnetlink import (
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTN_LOCAL,
    AddressMessage,
    LinkMessage,
    RawHop,
    RouteMessage,
)
from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import make_nlri

TABLES: Final = (RT_TABLE_LOCAL, RT_TABLE_MAIN)  # in the kernel's order of rules
_TELL_PAUSE: Final = 0.01  # seconds; changes of one moment are delivered together

Key = tuple[int, int, bytes]  # afi, table, NLRI
_LINK_LOCAL: Final[Key] = (AFI_IPV6, RT_TABLE_MAIN, b"\x0a\xfe\x80")  # fe80::/10
Changed = frozenset[Key]
Listener = Callable[[Changed], None]


@dataclass(frozen=True, slots=True)
class Link:
    """A device as people see it.

    Attributes:
        name: Its name.
        index: The kernel's number.
        is_up: Set up, with carrier.
        is_admin_up: Set up.
        addresses: Octets and length in bits.
    """

    name: str
    index: int
    is_up: bool
    is_admin_up: bool
    addresses: tuple[tuple[bytes, int], ...]


class KernelView:
    """Links, addresses and foreign routes of the tables local and main.

    Attributes:
        links: Devices by name and number.
    """

    def __init__(self) -> None:
        self.links = Links()
        self._routes: dict[Key, list[RouteMessage]] = {}
        # How many keys there are of each length, for longest-prefix lookups.
        self._lengths: dict[tuple[int, int], dict[int, int]] = {}
        self._addresses: set[AddressMessage] = set()
        self._listeners: list[Listener] = []
        self._changed: set[Key] = set()
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def subscribe(self, listener: Listener) -> None:
        """Subscribe to changed prefixes, reported some milliseconds after the change."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Listener) -> None:
        """Stop telling."""
        self._listeners.remove(listener)

    # -- questions ---------------------------------------------------------------------

    def routes(self, afi: int, nlri: bytes) -> list[RouteMessage]:
        """Return foreign routes of table main for one prefix, best metric first."""
        found = self._routes.get((afi, RT_TABLE_MAIN, nlri), ())
        return sorted(found, key=lambda route: route.metric)

    def keys(self) -> list[Key]:
        """Return every prefix there is."""
        return list(self._routes)

    def lookup(self, address: bytes) -> RouteMessage | None:
        """Return the route that the kernel would take without ours."""
        found = (self.longest(address, table) for table in TABLES)
        return next((route for route in found if route is not None), None)

    def longest(self, address: bytes, table: int) -> RouteMessage | None:
        """Return the best route of the longest prefix of one table that has an address.

        Those of table local go before all others.
        """
        afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
        lengths = self._lengths.get((afi, table), {})
        for length_bits in sorted(lengths, reverse=True):
            key = (afi, table, make_nlri(address, length_bits))
            found = self._routes.get(key)
            if found:
                return min(found, key=lambda route: route.metric)
        return None

    def lengths(self, afi: int) -> Iterable[int]:
        """Return the prefix lengths of table main, in bits."""
        return self._lengths.get((afi, RT_TABLE_MAIN), {})

    def best(self, afi: int, nlri: bytes) -> RouteMessage | None:
        """Return the foreign route of table main for one prefix that the kernel prefers."""
        found = self._routes.get((afi, RT_TABLE_MAIN, nlri))
        return min(found, key=lambda route: route.metric) if found else None

    def is_local(self, address: bytes, link: int) -> bool:
        """Say whether an IPv6 address is this machine's own on one device.

        Args:
            address: 16 octets.
            link: The device's number.
        """
        key = (AFI_IPV6, RT_TABLE_LOCAL, make_nlri(address, 128))
        return any(
            route.image[0] == RTN_LOCAL
            and any(hop[1] == link for hop in route.image[3])
            for route in self._routes.get(key, ())
        )

    def addresses(self) -> Iterator[tuple[bytes, int, str]]:
        """Yield address, length in bits and device of every device that is set up."""
        for link, address, length_bits, _ in self._addresses:
            device = self.links.by_index.get(link)
            if device is not None and device.is_admin_up:
                yield address, length_bits, device.name

    def connected(self) -> Iterator[tuple[bytes, bytes, str]]:
        """Yield an address of each connected prefix, its NLRI, and the device.

        On a point-to-point link the prefix is the far end's.
        """
        for link, address, length_bits, peer in self._addresses:
            device = self.links.by_index.get(link)
            if device is not None and device.is_admin_up:
                yield address, make_nlri(peer or address, length_bits), device.name

    def devices(self) -> list[Link]:
        """Return every device with its addresses, by number."""
        found: dict[int, list[tuple[bytes, int]]] = {}
        for link, address, length_bits, _ in sorted(self._addresses):
            found.setdefault(link, []).append((address, length_bits))
        return [
            Link(
                link.name,
                index,
                link.is_up,
                link.is_admin_up,
                tuple(found.get(index, ())),
            )
            for index, link in sorted(self.links.by_index.items())
        ]

    def is_usable(self, hop: RawHop) -> bool:
        """Say whether a hop's device is there, up, and has carrier."""
        link = self.links.by_index.get(hop[1])
        return link is not None and link.is_up

    # -- what changes it ---------------------------------------------------------------

    def replace_devices(self, links: Links, addresses: set[AddressMessage]) -> None:
        """Take a dump of links and addresses in place of what was known."""
        self.links = links
        known, self._addresses = self._addresses, addresses
        self._notify(map(_host_key, known ^ addresses))

    def replace_routes(self, routes: Mapping[Key, list[RouteMessage]]) -> None:
        """Take a dump of routes in place of what was known."""
        either = self._routes.keys() | routes.keys()
        differ = {key for key in either if self._routes.get(key) != routes.get(key)}
        self._routes, self._lengths = {}, {}
        for key, found in routes.items():
            self.put(key, found)
        self._notify(differ)

    def put(self, key: Key, routes: list[RouteMessage]) -> None:
        """Set the routes of one key, or none; listeners are not called."""
        lengths = self._lengths.setdefault(key[:2], {})
        bits = key[2][0]
        if routes:
            if key not in self._routes:
                lengths[bits] = lengths.get(bits, 0) + 1
            self._routes[key] = routes
        elif self._routes.pop(key, None) is not None:
            lengths[bits] -= 1
            if not lengths[bits]:
                del lengths[bits]

    def apply_route(
        self, route: RouteMessage, *, is_gone: bool, replaces: bool
    ) -> None:
        """Follow a route that came or went.

        Args:
            route: As the kernel tells it.
            is_gone: It went; else it came.
            replaces: It came in place of those with its metric.
        """
        key = (route.afi, route.table, route.nlri)
        present = self._routes.get(key, [])
        same = [r for r in present if (r.metric, r.tos) == (route.metric, route.tos)]
        others = [r for r in present if r not in same]
        if is_gone:
            same = [left for r in same if (left := _without(r, route)) is not None]
        else:
            if replaces:
                same = []
            same = [r for r in same if r.image != route.image] + [route]
        self.put(key, others + same)
        self._notify((key,))

    def apply_address(self, address: AddressMessage, *, is_gone: bool) -> None:
        """Follow an address that came or went."""
        if is_gone:
            self._addresses.discard(address)
            self._address_gone(address)
        else:
            self._addresses.add(address)
        # Its local route need not change with it: the address may stand on another device
        # too, or with another length.
        self._notify((_host_key(address),))

    def apply_link(self, link: LinkMessage, *, is_gone: bool) -> None:
        """Follow a device that came, changed or went."""
        if is_gone:
            self.links.remove(link)
        elif not self.links.update(link):
            return
        touched = {
            key
            for key, routes in self._routes.items()
            if any(hop[1] == link.link for route in routes for hop in route.image[3])
        }
        if is_gone:
            self._remove_over(link.link, touched)
        elif not link.is_admin_up:  # the machine still answers to its addresses
            main = [key for key in touched if key[1] != RT_TABLE_LOCAL]
            self._remove_over(link.link, main)
        touched.update(_host_key(a) for a in self._addresses if a.link == link.link)
        # A link's own state is what link-local next hops stand on: no route need change.
        self._notify({*touched, _LINK_LOCAL})

    def _address_gone(self, gone: AddressMessage) -> None:
        # IPv4 stops on a device that has no address left, and takes all routes along.
        if len(gone.address) != 4 or any(
            a.link == gone.link and len(a.address) == 4 for a in self._addresses
        ):
            return
        touched = {
            key
            for key, routes in self._routes.items()
            if key[0] == AFI_IPV4
            and any(hop[1] == gone.link for route in routes for hop in route.image[3])
        }
        self._remove_over(gone.link, touched)
        self._notify(touched)

    def _remove_over(self, index: int, keys: Iterable[Key]) -> None:
        for key in keys:
            left = [
                route
                for route in self._routes[key]
                if not all(hop[1] == index for hop in route.image[3])
            ]
            self.put(key, left)

    def _notify(self, changed: Iterable[Key]) -> None:
        self._changed.update(changed)
        if self._changed and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_TELL_PAUSE, self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        changed, self._changed = frozenset(self._changed), set()
        for listener in list(self._listeners):
            try:
                listener(changed)
            except Exception as error:  # noqa: BLE001  # the others hear of it, too
                message = "a change of the kernel's routes was not followed"
                asyncio.get_running_loop().call_exception_handler(
                    {"message": message, "exception": error}
                )


def _host_key(known: AddressMessage) -> Key:
    """Return the key of the local route that an address has."""
    address = known.address
    afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
    return afi, RT_TABLE_LOCAL, make_nlri(address, len(address) * 8)


def _without(route: RouteMessage, gone: RouteMessage) -> RouteMessage | None:
    """Return what is left of ``route`` when the kernel reports that ``gone`` went."""
    if route.image == gone.image or not gone.image[3]:
        return None
    # IPv6 tells of single hops of a multipath route, too.
    hops = tuple(hop for hop in route.image[3] if hop[:3] not in _ways(gone))
    if len(hops) == len(route.image[3]):
        return route
    return route._replace(image=(*route.image[:3], hops)) if hops else None


def _ways(route: RouteMessage) -> set[tuple[bytes, int, bool]]:
    return {hop[:3] for hop in route.image[3]}
