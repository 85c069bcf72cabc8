"""What other programs keep in the kernel: links and routes, followed by events.

The ground that BGP next hops stand on at last, and where routes to announce are learned.
Routes of our own protocol number are never looked at: what we want of them is known before
the kernel has them. The kernel filters their notifications, so that a burst of 100,000 of
ours costs nothing here.

The kernel does not tell of IPv4 routes that go with their link or with the last address of
a link. The same is done here by hand: what cannot stand any more is taken out. A new dump
every few minutes, and whenever notifications were lost, mends what that misses.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fib.errors import FibError
from fib.kernel_links import Links
from fib.netlink.rtnetlink import (
    NLM_F_REPLACE,
    RT_TABLE_LOCAL,
    RT_TABLE_MAIN,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTN_LOCAL,
    AddressMessage,
    Message,
    RawHop,
    RouteMessage,
    address_dump,
    link_dump,
    parse_address_message,
    parse_link,
    parse_route,
    parse_route_dump,
    route_dump,
)
from fib.netlink.socket_filter import ignore_routes_of
from fib.netlink.sockets import RECEIVE_BUFFER, EventSocket, dump, dump_small
from rib.family import AFI_IPV4, AFI_IPV6
from rib.nlri import make_nlri

_log = logging.getLogger("pybgpd.fib")

_AUDIT_INTERVAL: Final = 300.0  # seconds
_TELL_PAUSE: Final = 0.01  # seconds; changes of one moment are told together
_RELOAD_PAUSE: Final = 0.1  # seconds between lost notifications and a new dump
_LONGEST_PAUSE: Final = 60.0  # seconds, while the kernel cannot be read
_TABLES: Final = (RT_TABLE_LOCAL, RT_TABLE_MAIN)  # in the kernel's order of rules

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

    Args:
        protocol: Ours, which is not looked at.
        receive_buffer: Octets of the queue of notifications.

    Attributes:
        links: Devices by name and number.
        overflow_count: Times notifications were lost.
    """

    def __init__(
        self, *, protocol: int = 12, receive_buffer: int = RECEIVE_BUFFER
    ) -> None:
        self.links = Links()
        self.overflow_count = 0
        self._protocol = protocol
        self._receive_buffer = receive_buffer
        self._routes: dict[Key, list[RouteMessage]] = {}
        # How many keys there are of each length, for longest-prefix lookups.
        self._lengths: dict[tuple[int, int], dict[int, int]] = {}
        self._addresses: set[AddressMessage] = set()
        self._listeners: list[Listener] = []
        self._changed: set[Key] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._reload = asyncio.Event()

    async def start(self) -> None:
        """Read everything once, and follow it from then on.

        Raises:
            FibError: The kernel cannot be read.
        """
        self._loop = asyncio.get_running_loop()
        self._events = EventSocket(
            ("link", "ipv4_address", "ipv6_address", "ipv4_route", "ipv6_route"),
            self._handle_events,
            self._handle_overflow,
            socket_filter=ignore_routes_of(self._protocol),
            receive_buffer=self._receive_buffer,
        )
        try:
            await self._load()
        except FibError:
            self._events.close()
            raise
        self._events.start()
        self._task = asyncio.create_task(self._run(), name="kernel-view")

    async def close(self) -> None:
        """Stop following."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._events.close()
        if self._timer is not None:
            self._timer.cancel()

    def subscribe(self, listener: Listener) -> None:
        """Have changed prefixes told, some milliseconds after they changed."""
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
        """Return the route the kernel would take if there were none of ours."""
        found = (self._longest(address, table) for table in _TABLES)
        return next((route for route in found if route is not None), None)

    def _longest(self, address: bytes, table: int) -> RouteMessage | None:
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

    def local_route(self, address: bytes) -> RouteMessage | None:
        """Return the route of table local for an address, which goes before all others."""
        return self._longest(address, RT_TABLE_LOCAL)

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

    # -- keeping it --------------------------------------------------------------------

    async def _run(self) -> None:
        pause, fault = _RELOAD_PAUSE, ""
        while True:
            try:
                async with asyncio.timeout(_AUDIT_INTERVAL):
                    await self._reload.wait()
                await asyncio.sleep(pause)
            except TimeoutError:
                pass  # the audit is due
            self._reload.clear()
            try:
                await self._load()
            except Exception as error:  # noqa: BLE001  # the kernel is followed for ever
                text = str(error) or type(error).__name__
                if text != fault:
                    _log.warning("cannot read the kernel's routes: %s", text)
                fault, pause = text, min(2 * pause, _LONGEST_PAUSE)
                self._reload.set()
            else:
                pause, fault = _RELOAD_PAUSE, ""

    async def _load(self) -> None:
        links = Links()
        for data, item in dump_small(link_dump()):
            if item.type == RTM_NEWLINK:
                links.update(parse_link(data, item.start, item.end))
        self.links = links
        known = self._addresses
        self._addresses = {
            parse_address_message(data, item.start, item.end)
            for data, item in dump_small(address_dump())
            if item.type == RTM_NEWADDR
        }
        loaded: dict[Key, list[RouteMessage]] = {}
        for afi in (AFI_IPV4, AFI_IPV6):
            try:
                for data, items in dump(route_dump(afi, 0, 0)):
                    found = [item for item in items if item.type == RTM_NEWROUTE]
                    for nlri, route in parse_route_dump(data, found, {}):
                        if self._is_ours_or_other_table(route):
                            continue
                        key = (afi, route.table, nlri)
                        loaded.setdefault(key, []).append(route._replace(nlri=nlri))
                    await asyncio.sleep(0)
            except FibError as error:
                if error.errno != errno.EINTR:
                    raise
                self._reload.set()  # good enough until the next
        stale = self._routes.keys() | loaded.keys()
        differ = {key for key in stale if self._routes.get(key) != loaded.get(key)}
        differ.update(map(_host_key, known ^ self._addresses))
        self._routes, self._lengths = {}, {}
        for key, routes in loaded.items():
            self._put(key, routes)
        self._tell(differ)

    def _is_ours_or_other_table(self, route: RouteMessage) -> bool:
        return route.protocol == self._protocol or route.table not in _TABLES

    def _put(self, key: Key, routes: list[RouteMessage]) -> None:
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

    def _tell(self, changed: Iterable[Key]) -> None:
        self._changed.update(changed)
        if self._changed and self._timer is None:
            self._timer = self._loop.call_later(_TELL_PAUSE, self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        changed, self._changed = frozenset(self._changed), set()
        for listener in list(self._listeners):
            try:
                listener(changed)
            except Exception as error:  # noqa: BLE001  # the others hear of it, too
                message = "a change of the kernel's routes was not followed"
                self._loop.call_exception_handler(
                    {"message": message, "exception": error}
                )

    # -- notifications -----------------------------------------------------------------

    def _handle_overflow(self) -> None:
        self.overflow_count += 1
        self._reload.set()

    def _handle_events(self, data: bytes, items: Iterable[Message]) -> None:
        for item in items:
            if item.type in (RTM_NEWROUTE, RTM_DELROUTE):
                route = parse_route(data, item.start, item.end)
                if route is None or self._is_ours_or_other_table(route):
                    continue
                self._handle_route(route, item)
            elif item.type in (RTM_NEWLINK, RTM_DELLINK):
                self._handle_link(data, item)
            elif item.type in (RTM_NEWADDR, RTM_DELADDR):
                address = parse_address_message(data, item.start, item.end)
                if item.type == RTM_NEWADDR:
                    self._addresses.add(address)
                else:
                    self._addresses.discard(address)
                    self._handle_address_gone(address)
                # Its local route need not change with it: the address may stand on
                # another device too, or with another length.
                self._tell((_host_key(address),))

    def _handle_route(self, route: RouteMessage, item: Message) -> None:
        key = (route.afi, route.table, route.nlri)
        present = self._routes.get(key, [])
        same = [r for r in present if (r.metric, r.tos) == (route.metric, route.tos)]
        others = [r for r in present if r not in same]
        if item.type == RTM_NEWROUTE:
            if item.flags & NLM_F_REPLACE:
                same = []
            same = [r for r in same if r.image != route.image] + [route]
        else:
            same = [left for r in same if (left := _without(r, route)) is not None]
        self._put(key, others + same)
        self._tell((key,))

    def _handle_link(self, data: bytes, item: Message) -> None:
        link = parse_link(data, item.start, item.end)
        is_gone = item.type == RTM_DELLINK
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
        self._tell({*touched, _LINK_LOCAL})

    def _handle_address_gone(self, gone: AddressMessage) -> None:
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
        self._tell(touched)

    def _remove_over(self, index: int, keys: Iterable[Key]) -> None:
        for key in keys:
            left = [
                route
                for route in self._routes[key]
                if not all(hop[1] == index for hop in route.image[3])
            ]
            self._put(key, left)


def _host_key(known: AddressMessage) -> Key:
    """Return the key of the local route that an address has."""
    address = known.address
    afi = AFI_IPV4 if len(address) == 4 else AFI_IPV6
    return afi, RT_TABLE_LOCAL, make_nlri(address, len(address) * 8)


def _without(route: RouteMessage, gone: RouteMessage) -> RouteMessage | None:
    """Return what is left of ``route`` when the kernel tells that ``gone`` went."""
    if route.image == gone.image or not gone.image[3]:
        return None
    # IPv6 tells of single hops of a multipath route, too.
    hops = tuple(hop for hop in route.image[3] if hop[:3] not in _ways(gone))
    if len(hops) == len(route.image[3]):
        return route
    return route._replace(image=(*route.image[:3], hops)) if hops else None


def _ways(route: RouteMessage) -> set[tuple[bytes, int, bool]]:
    return {hop[:3] for hop in route.image[3]}
