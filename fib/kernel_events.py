"""The kernel's notifications of links, addresses, routes and objects, and their effect on our routes.

Notifications of what we did ourselves are filtered out in the kernel. What is left is
either the kernel's doing (port id 0), or another program's: then it is drift.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from fib.drift import Drift
from fib.kernel_family import KernelFamily
from fib.kernel_links import Links
from fib.kernel_schedule import Schedule
from fib.netlink.rtnetlink import (
    NLM_F_REPLACE,
    RT_TABLE_COMPAT,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEXTHOP,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEXTHOP,
    RTM_NEWROUTE,
    Message,
    RouteMessage,
    parse_address_message,
    parse_link,
    parse_next_hop,
    parse_route,
)
from fib.next_hop_objects import NextHopObjects
from fib.place import Place
from fib.plan import GONE, LINK_LOST
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

_log = logging.getLogger(__name__)


class KernelEvents:
    """Takes notifications in; what has to be done goes into the schedule.

    Args:
        place: Where our routes are.
        families: Our routes.
        links: Kept up to date here.
        objects: Next-hop objects, ours and others'.
        schedule: What has to be done.
        drift: Foreign changes.
        clock: Monotonic seconds.

    Attributes:
        overflow_count: Times the kernel dropped notifications (ENOBUFS).
    """

    def __init__(
        self,
        place: Place,
        families: Mapping[Family, KernelFamily],
        *,
        links: Links,
        objects: NextHopObjects,
        schedule: Schedule,
        drift: Drift,
        clock: Callable[[], float],
    ) -> None:
        self.overflow_count = 0
        self._place = place
        self._families = families
        self._links = links
        self._objects = objects
        self._schedule = schedule
        self._drift = drift
        self._clock = clock

    def handle_overflow(self) -> None:
        """Notifications were lost: nothing is known for certain."""
        self.overflow_count += 1
        _log.warning(
            "the kernel dropped notifications; comparing all of our routes with its table",
            {
                "event": "kernel-overflow",
                "table": self._place.table,
                "protocol": self._place.protocol,
            },
        )
        self._want_resync()

    def handle(self, data: bytes, items: Iterable[Message]) -> None:
        """Take in the notifications of one read."""
        before = self._drift.repaired
        for item in items:
            if item.type in (RTM_NEWROUTE, RTM_DELROUTE):
                self._handle_route(data, item)
            elif item.type in (RTM_NEWLINK, RTM_DELLINK):
                self._handle_link(data, item)
            elif item.type in (RTM_NEWADDR, RTM_DELADDR):
                address = parse_address_message(data, item.start, item.end)
                self._handle_reach(address.link)
            elif item.type in (RTM_NEWNEXTHOP, RTM_DELNEXTHOP):
                found = parse_next_hop(data, item.start, item.end)
                is_ours = found.protocol == self._place.protocol
                if is_ours and self._objects.is_held(found.id):
                    self._want_resync()
        self._drift.tell_repairs(before)

    def _want_resync(self) -> None:
        self._schedule.want_resync(self._clock())

    def _handle_link(self, data: bytes, item: Message) -> None:
        link = parse_link(data, item.start, item.end)
        if item.type == RTM_DELLINK:
            self._links.remove(link)
        elif not self._links.update(link):
            return
        if any(k.uses_link(link.link, link.name) for k in self._families.values()):
            self._want_resync()
        else:
            self._handle_reach(link.link)

    def _handle_reach(self, index: int) -> None:
        link = self._links.by_index.get(index)
        name = link.name if link is not None else ""
        if any(kernel.uses_link(index, name) for kernel in self._families.values()):
            self._schedule.want_refresh("all")
        elif any(kernel.has_blocked for kernel in self._families.values()):
            self._schedule.want_refresh("blocked")

    def _handle_route(self, data: bytes, item: Message) -> None:
        table = self._place.table
        short = data[item.start + 4]
        if not (short in (table, RT_TABLE_COMPAT) or table > 255):
            return
        route = parse_route(data, item.start, item.end)
        if route is None or route.table != table:
            return
        family = IPV4_UNICAST if route.afi == IPV4_UNICAST.afi else IPV6_UNICAST
        kernel = self._families[family]
        is_new = item.type == RTM_NEWROUTE
        if route.protocol != self._place.protocol:
            self._handle_foreign(family, route, item)
        elif not item.port_id:
            # The kernel itself, with a link or an address: it tells of some only.
            if not is_new:
                kernel.routes.lose(route.nlri, route.metric, LINK_LOST)
            self._want_resync()
        elif not is_new:
            if kernel.routes.lose(route.nlri, route.metric, GONE):
                self._repair(family, route.nlri)
        elif kernel.observe(route):
            self._repair(family, route.nlri)

    def _handle_foreign(
        self, family: Family, route: RouteMessage, item: Message
    ) -> None:
        """Handle another program's route that came or went: it may conflict with ours."""
        kernel = self._families[family]
        is_new = item.type == RTM_NEWROUTE
        entry = kernel.routes.wanted.get(route.nlri)
        if entry is not None and entry.metric == route.metric:
            if is_new and item.flags & NLM_F_REPLACE:
                # It may have replaced ours, which goes without a deletion.
                if kernel.routes.lose(route.nlri, route.metric, GONE):
                    self._repair(family, route.nlri)
            elif not is_new and route.nlri in kernel.routes.failed:
                kernel.conflicts.end(route.nlri)
                kernel.routes.requeue((route.nlri,))
                self._schedule.wake.set()
        if is_new and kernel.has_blocked:
            self._schedule.want_refresh("blocked")

    def _repair(self, family: Family, nlri: bytes) -> None:
        """Undo a foreign change: at once the first time, later each further time."""
        if self._drift.note(family, nlri, self._clock()):
            self._families[family].routes.requeue((nlri,))
        self._schedule.wake.set()
