"""The real table: a task that brings the kernel to what is wanted, and keeps it there.

``submit`` only queues. One task does all writing and comparing, in slices of a few
milliseconds, so that nothing is ever compared while it is being written:

    links, objects, targets again ("refresh")  on link, address and route events
    the whole of our routes ("resync")         where routes may have gone without a word:
                                               links down, lost objects, dropped
                                               notifications, and every few minutes
    failed routes again                        with back-off, and after each of these
    waiting changes                            newest wins per prefix

Notifications of what we did ourselves are filtered out in the kernel. What is left is
either the kernel's doing (port id 0), or another program's: then it is drift, counted and
put right, at once the first time and later and later when somebody fights for the prefix.
"""

import asyncio
import errno
import logging
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, Literal

from fib.errors import FibError
from fib.kernel_family import KernelFamily
from fib.kernel_links import Links
from fib.netlink.rtnetlink import (
    NLM_F_REPLACE,
    RT_TABLE_COMPAT,
    RT_TABLE_MAIN,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEXTHOP,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEXTHOP,
    RTM_NEWROUTE,
    Endings,
    Message,
    encode_next_hop_removal,
    link_dump,
    parse_address_message,
    parse_link,
    parse_next_hop,
    parse_route,
    parse_route_dump,
    route_dump,
)
from fib.netlink.socket_filter import ignore_port
from fib.netlink.sockets import (
    RECEIVE_BUFFER,
    EventSocket,
    RequestSocket,
    dump,
    dump_small,
)
from fib.next_hop_objects import NextHopObjects
from fib.plan import GONE, LINK_LOST
from fib.repairs import Repairs
from fib.routes import Fault, FibCounts, FibRoute, Target
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import format_prefix

_log = logging.getLogger("pybgpd.fib")

PROTOCOL_BIRD: Final = 12  # RTPROT_BIRD: what Calico's Felix expects of its BGP daemon
SLICE: Final = 1000  # routes per send: about 50 KB, 1 to 3 ms in the kernel
_RESYNC_PAUSE: Final = 0.05  # seconds from the first sign to a comparison
_AUDIT_INTERVAL: Final = 300.0  # seconds
_RETRY_FIRST, _RETRY_LAST = 1.0, 60.0  # seconds between attempts at refused routes
_DUMP_ATTEMPTS: Final = 3  # then an interrupted dump is good enough until the next
_GROUPS: Final = ("link", "ipv4_address", "ipv6_address", "ipv4_route", "ipv6_route")


class KernelFib:
    """Routes in a table of the Linux kernel; implements ``fib.routes.Fib``.

    Args:
        table: The kernel's table number; 254 is main.
        protocol: Marks routes as ours (RTPROT_*); others are never touched.
        next_hop_objects: ``auto`` uses them where the kernel has them.
        receive_buffer: Octets of the queue of notifications.
    """

    def __init__(
        self,
        *,
        table: int = RT_TABLE_MAIN,
        protocol: int = PROTOCOL_BIRD,
        next_hop_objects: Literal["auto", "off"] = "auto",
        receive_buffer: int = RECEIVE_BUFFER,
    ) -> None:
        self._table = table
        self._protocol = protocol
        self._wants_objects = next_hop_objects == "auto"
        self._receive_buffer = receive_buffer
        self._families: dict[Family, KernelFamily] = {}
        self._links = Links()
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._resync_at: float | None = None
        self._audit_at = 0.0
        self._refresh_due: Literal["", "blocked", "all"] = ""
        self._has_retargeted = False
        self._retry_at: float | None = None
        self._retry_delay = _RETRY_FIRST
        self._repairs = Repairs()
        self._drifts = self._repaired = self._resyncs = self._overflows = 0

    # -- life --------------------------------------------------------------------------

    async def start(self) -> None:
        """Read what is there: routes of our protocol become stale until wanted.

        Raises:
            FibError: The kernel cannot be written to, for lack of CAP_NET_ADMIN as a rule.
        """
        self._sock = RequestSocket()
        # The kernel checks the permission before it looks at the request, which
        # would be refused anyway: it names no object.
        _, fault = self._sock.ask(encode_next_hop_removal(0))
        if fault is not None and fault.errno == errno.EPERM:
            await self._sock.close()
            raise FibError(
                "no permission to change the kernel's routes: pybgpd needs"
                " CAP_NET_ADMIN; run it with --fib off to leave the kernel alone",
                fault.errno,
            )
        self._events = EventSocket(
            (*_GROUPS, "next_hop"),
            self._handle_events,
            self._handle_overflow,
            socket_filter=ignore_port(self._sock.port_id),
            receive_buffer=self._receive_buffer,
        )
        self._objects = NextHopObjects(self._sock, self._protocol)
        has_objects = self._objects.load() and self._wants_objects
        self._load_links()
        for family in (IPV4_UNICAST, IPV6_UNICAST):
            self._families[family] = KernelFamily(
                family.afi,
                self._sock,
                self._objects,
                self._links,
                table=self._table,
                protocol=self._protocol,
                uses_objects=has_objects,
            )
        self._loop = asyncio.get_running_loop()
        for family in self._families:
            await self._compare(family)
        self._audit_at = self._loop.time() + _AUDIT_INTERVAL
        self._events.start()
        self._task = asyncio.create_task(self._run(), name="fib")

    async def close(self, *, flush: bool = False) -> None:
        """Stop; with ``flush`` remove our routes, else leave them for a successor."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._events.close()
        try:
            if flush:
                await self._flush()
        finally:
            await self._sock.close()
            for waiter in self._waiters:
                waiter.cancel()

    async def _flush(self) -> None:
        for kernel in self._families.values():
            kernel.routes.submit(list(kernel.routes.wanted), None)
            kernel.routes.is_sweeping = True
            is_busy = True
            while is_busy:
                is_busy = await kernel.write_slice(SLICE)
                await asyncio.sleep(0)
        await self._clean_up()

    # -- wishes ------------------------------------------------------------------------

    # hot: per prefix
    def submit(
        self, family: Family, nlris: Iterable[bytes], target: Target | None
    ) -> None:
        """Want ``nlris`` to lead to ``target``; ``None`` removes them.

        Returns at once; the newest word on a prefix wins.
        """
        kernel = self._families[family]
        kernel.routes.submit(nlris, None if target is None else kernel.entry(target))
        self._wake.set()

    def retarget(self, family: Family, old: Target, new: Target) -> None:
        """Lead everything of a family that leads to ``old`` to ``new``."""
        self._families[family].retarget(old, new)
        self._has_retargeted = True
        self._wake.set()

    def adoption_done(self, family: Family) -> None:
        """Remove what was found at start and not submitted since."""
        self._families[family].routes.is_sweeping = True
        self._wake.set()

    def stale(self, family: Family) -> AbstractSet[bytes]:
        """Return what is in the kernel and was not asked for so far; a live view."""
        return self._families[family].routes.stale.keys()

    async def wait_until_synced(self) -> None:
        """Return when everything submitted so far was tried."""
        if not self.is_synced:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    # -- state -------------------------------------------------------------------------

    @property
    def is_synced(self) -> bool:
        """Nothing waits to be written; failed routes do not count as waiting."""
        if self._refresh_due or self._has_retargeted or self._resync_at is not None:
            return False
        families = self._families.values()
        return not any(k.is_sending or k.routes.waiting_count for k in families)

    @property
    def counts(self) -> FibCounts:
        """Gauges and counters over both families."""
        tables = [kernel.routes for kernel in self._families.values()]
        wanted = sum(len(table.wanted) for table in tables)
        failed = sum(len(table.failed) for table in tables)
        conflicts = sum(table.conflict_count for table in tables)
        return FibCounts(
            wanted=wanted,
            installed=wanted - failed,
            pending=sum(table.waiting_count for table in tables),
            failed=failed - conflicts,
            conflicts=conflicts,
            stale=sum(len(table.stale) for table in tables),
            next_hop_objects=len(self._objects) if self._families else 0,
            adopted=sum(table.adopted_count for table in tables),
            written=sum(kernel.written_count for kernel in self._families.values()),
            drifts=self._drifts,
            repairs=self._repaired,
            resyncs=self._resyncs,
            overflows=self._overflows,
        )

    def errors(self, family: Family) -> dict[bytes, Fault]:
        """Return why each route that is not in the kernel is not."""
        return dict(self._families[family].routes.failed)

    def routes(self, family: Family) -> Iterator[FibRoute]:
        """Yield every route, in no order, each as it stands when it is yielded."""
        return self._families[family].routes.describe()

    def route(self, family: Family, nlri: bytes) -> FibRoute | None:
        """Return the route of one prefix; ``None`` where there is none of ours."""
        return self._families[family].routes.describe_one(nlri)

    # -- the task ----------------------------------------------------------------------

    async def _run(self) -> None:
        pause, fault = _RETRY_FIRST, ""
        while True:
            try:
                await self._work()
            except Exception as error:  # noqa: BLE001  # routes are written for ever
                # Nothing is known of the last batch: look at the whole table.
                self._resync_at = self._loop.time() + pause
                pause = min(2 * pause, _RETRY_LAST)
                fault = _note_fault(error, fault)
            else:
                if self._resync_at is None:
                    pause, fault = _RETRY_FIRST, ""
            if self.is_synced:
                waiters, self._waiters = self._waiters, []
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
            await self._sleep()

    async def _sleep(self) -> None:
        due = (self._audit_at, self._resync_at, self._retry_at, self._repairs.next_due)
        timer = self._loop.call_at(min(t for t in due if t is not None), self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    async def _work(self) -> None:
        now = self._loop.time()
        if now >= self._audit_at:
            self._audit_at = now + _AUDIT_INTERVAL
            self._resync_at = now
            self._repairs.forget(now)
        if self._resync_at is not None and now >= self._resync_at:
            await self._resync()
        elif self._refresh_due:
            self._refresh()
        if self._has_retargeted:
            self._has_retargeted = False
            for kernel in self._families.values():
                await kernel.prepare_changed()
        for family, nlri in self._repairs.due(now):
            self._families[family].routes.requeue((nlri,))
            self._repaired += 1
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self._retry_delay = min(self._retry_delay * 2, _RETRY_LAST)
            for kernel in self._families.values():
                kernel.routes.requeue(list(kernel.routes.failed))
        await self._write()
        has_failed = any(k.routes.failed for k in self._families.values())
        if not has_failed:
            self._retry_at, self._retry_delay = None, _RETRY_FIRST
        elif self._retry_at is None:
            self._retry_at = self._loop.time() + self._retry_delay

    async def _write(self) -> None:
        kernels = list(self._families.values())
        busy = True
        while busy:
            busy = False
            for kernel in kernels:
                if await kernel.write_slice(SLICE):
                    busy = True
                    await asyncio.sleep(0)
        await self._clean_up()

    async def _clean_up(self) -> None:
        if any(k.routes.waiting_count for k in self._families.values()):
            return
        used = [i for k in self._families.values() for i in k.forget_unused()]
        if all(k.routes.is_sweeping for k in self._families.values()):
            # The kernel waits for all its processors with every removal.
            await self._sock.in_thread(partial(self._objects.remove_unused, used))

    def _load_links(self) -> None:
        links = Links()
        for data, item in dump_small(link_dump()):
            if item.type == RTM_NEWLINK:
                links.update(parse_link(data, item.start, item.end))
        self._links.by_index, self._links.by_name = links.by_index, links.by_name

    def _refresh(self) -> None:
        only_blocked = self._refresh_due == "blocked"
        self._refresh_due = ""
        for kernel in self._families.values():
            kernel.refresh(only_blocked=only_blocked)

    async def _resync(self) -> None:
        self._resync_at = None
        self._resyncs += 1
        self._load_links()
        self._objects.load()
        self._refresh_due = "all"
        self._refresh()
        for family in self._families:
            changed = await self._compare(family)
            if changed:
                self._note_drift(family, changed)
            routes = self._families[family].routes
            routes.requeue(list(routes.failed))

    async def _compare(self, family: Family) -> int:
        """Compare the whole of our routes in slices; return how many had changed."""
        kernel = self._families[family]
        request = route_dump(family.afi, self._table, self._protocol)
        changed = 0
        for _ in range(_DUMP_ATTEMPTS):
            kernel.routes.audit_begin()
            endings: Endings = {}
            try:
                for data, items in dump(request):
                    found = [item for item in items if item.type == RTM_NEWROUTE]
                    changed += len(kernel.audit(parse_route_dump(data, found, endings)))
                    await asyncio.sleep(0)
            except FibError as error:
                if error.errno != errno.EINTR:
                    raise
            else:
                break
        is_complete = False
        while not is_complete:
            missing, is_complete = kernel.routes.audit_missing(SLICE)
            kernel.routes.requeue(missing)
            await asyncio.sleep(0)
        return changed

    # -- notifications -----------------------------------------------------------------

    def _handle_overflow(self) -> None:
        self._overflows += 1
        self._want_resync()

    def _want_resync(self) -> None:
        self._resync_at = self._resync_at or self._loop.time() + _RESYNC_PAUSE
        self._wake.set()

    def _want_refresh(self, extent: Literal["blocked", "all"]) -> None:
        if self._refresh_due != "all":
            self._refresh_due = extent
        self._wake.set()

    def _handle_events(self, data: bytes, items: Iterable[Message]) -> None:
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
                if found.protocol == self._protocol and self._objects.is_held(found.id):
                    self._want_resync()

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
            self._want_refresh("all")
        elif any(kernel.has_blocked for kernel in self._families.values()):
            self._want_refresh("blocked")

    def _handle_route(self, data: bytes, item: Message) -> None:
        short = data[item.start + 4]
        is_main = short in (self._table, RT_TABLE_COMPAT) or self._table > 255
        if not is_main:
            return
        route = parse_route(data, item.start, item.end)
        if route is None or route.table != self._table:
            return
        family = IPV4_UNICAST if route.afi == IPV4_UNICAST.afi else IPV6_UNICAST
        kernel = self._families[family]
        is_new = item.type == RTM_NEWROUTE
        if route.protocol != self._protocol:
            entry = kernel.routes.wanted.get(route.nlri)
            if entry is not None and entry.metric == route.metric:
                if is_new and item.flags & NLM_F_REPLACE:
                    # It may have replaced ours, which goes without a deletion.
                    if kernel.routes.lose(route.nlri, route.metric, GONE):
                        self._repair(family, route.nlri)
                elif not is_new and route.nlri in kernel.routes.failed:
                    kernel.routes.requeue((route.nlri,))
                    self._wake.set()
            if is_new and kernel.has_blocked:
                self._want_refresh("blocked")
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

    def _note_drift(self, family: Family, count: int) -> None:
        self._drifts += count
        self._repaired += count
        _log.warning("%s: %d of our kernel routes had been changed", family, count)

    def _repair(self, family: Family, nlri: bytes) -> None:
        """Put a foreign change right: at once, then later with every time."""
        self._drifts += 1
        delay = self._repairs.note((family, nlri), self._loop.time())
        if delay:
            _log.warning(
                "another program keeps changing %s; next repair in %d s",
                format_prefix(nlri, family.afi),
                delay,
            )
        else:
            self._repaired += 1
            self._families[family].routes.requeue((nlri,))
        self._wake.set()


def _note_fault(error: Exception, known: str) -> str:
    """Log a failure to write, unless it is the last one again; return what it says."""
    text = str(error) or type(error).__name__
    if text != known:
        is_ours = not isinstance(error, FibError | OSError | MemoryError)
        trace = error if is_ours else None
        _log.warning("kernel routes: %s; comparing them all", text, exc_info=trace)
    return text
