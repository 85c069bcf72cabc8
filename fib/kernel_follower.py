"""Keeps a ``KernelView`` at what the kernel has.

It never reads routes with our own protocol number: we know what we want of them before
the kernel has them. The kernel filters their notifications, so that a burst of 100,000
costs nothing here. A new dump every few minutes, and whenever notifications were lost,
repairs what events miss.
"""

import asyncio
import errno
import logging
from collections.abc import Iterable
from typing import Final

from fib.errors import FibError
from fib.kernel_links import Links
from fib.kernel_view import TABLES, KernelView, Key
from fib.netlink.rtnetlink import (
    NLM_F_REPLACE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    Message,
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

_log = logging.getLogger(__name__)

_AUDIT_INTERVAL: Final = 300.0  # seconds
_RELOAD_PAUSE: Final = 0.1  # seconds between lost notifications and a new dump
_LONGEST_PAUSE: Final = 60.0  # seconds, while the kernel cannot be read


class KernelFollower:
    """Follows the kernel; ``start`` makes it.

    Args:
        protocol: Ours, which is not looked at.
        receive_buffer: Octets of the queue of notifications.

    Attributes:
        view: What there is.
        overflow_count: Times notifications were lost.
    """

    def __init__(self, protocol: int, receive_buffer: int) -> None:
        self.view = KernelView()
        self.overflow_count = 0
        self._protocol = protocol
        self._task: asyncio.Task[None] | None = None
        self._reload = asyncio.Event()
        # Opened before anything is read, so that no change falls between.
        self._notices = EventSocket(
            ("link", "ipv4_address", "ipv6_address", "ipv4_route", "ipv6_route"),
            self._handle_events,
            self._handle_overflow,
            socket_filter=ignore_routes_of(protocol),
            receive_buffer=receive_buffer,
        )

    @classmethod
    async def start(
        cls, *, protocol: int = 12, receive_buffer: int = RECEIVE_BUFFER
    ) -> "KernelFollower":
        """Read everything once, and follow it from then on.

        Args:
            protocol: Ours, which is not looked at.
            receive_buffer: Octets of the queue of notifications.

        Raises:
            FibError: The kernel cannot be read.
        """
        follower = cls(protocol, receive_buffer)
        try:
            await follower._load()
        except BaseException:
            follower._notices.close()
            raise
        follower._notices.start()
        follower._task = asyncio.create_task(follower._run(), name="kernel-view")
        return follower

    async def close(self) -> None:
        """Stop following."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._notices.close()
        self.view.close()

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
                    _log.warning(
                        "cannot read the kernel's routes: %(reason)s",
                        {"event": "kernel-routes-unreadable", "reason": text},
                    )
                fault, pause = text, min(2 * pause, _LONGEST_PAUSE)
                self._reload.set()
            else:
                pause, fault = _RELOAD_PAUSE, ""

    async def _load(self) -> None:
        links = Links()
        for data, item in dump_small(link_dump()):
            if item.type == RTM_NEWLINK:
                links.update(parse_link(data, item.start, item.end))
        addresses = {
            parse_address_message(data, item.start, item.end)
            for data, item in dump_small(address_dump())
            if item.type == RTM_NEWADDR
        }
        self.view.replace_devices(links, addresses)
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
        self.view.replace_routes(loaded)

    def _is_ours_or_other_table(self, route: RouteMessage) -> bool:
        return route.protocol == self._protocol or route.table not in TABLES

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
                self.view.apply_route(
                    route,
                    is_gone=item.type == RTM_DELROUTE,
                    replaces=bool(item.flags & NLM_F_REPLACE),
                )
            elif item.type in (RTM_NEWLINK, RTM_DELLINK):
                link = parse_link(data, item.start, item.end)
                self.view.apply_link(link, is_gone=item.type == RTM_DELLINK)
            elif item.type in (RTM_NEWADDR, RTM_DELADDR):
                address = parse_address_message(data, item.start, item.end)
                self.view.apply_address(address, is_gone=item.type == RTM_DELADDR)
