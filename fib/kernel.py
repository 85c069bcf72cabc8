"""The real table: a task that brings the kernel to what is wanted, and keeps it there.

``submit`` only queues. One task does all writing and comparing, in slices of a few
milliseconds, so that nothing is ever compared while it is being written. What it has to do
beside waiting changes, and when, is ``fib.kernel_schedule``; what the kernel tells
meanwhile is ``fib.kernel_events``; foreign changes are counted and put right by
``fib.drift``. The newest change of a prefix wins.
"""

import asyncio
import errno
import logging
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from fib.counts import counts_of
from fib.drift import Drift
from fib.errors import FibError
from fib.kernel_events import KernelEvents
from fib.kernel_family import KernelFamily
from fib.kernel_links import Links
from fib.kernel_schedule import RETRY_FIRST, RETRY_LAST, Schedule
from fib.netlink.rtnetlink import (
    RT_TABLE_MAIN,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    Endings,
    encode_next_hop_removal,
    link_dump,
    parse_link,
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
from fib.place import Place
from fib.progress import Progress
from fib.routes import Fault, FibCounts, FibRoute, Target, WriteObserver
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

# Theory
# ------
# What BGP wants and what the kernel has are two tables, and this module makes the second
# follow the first. Both change by themselves: BGP in bursts of 100,000 prefixes, the kernel
# when links fail, addresses go, and other programs write. A daemon that only wrote what it
# wants would be wrong after the first lost notification. So the rule is level-triggered:
#
#       submit, retarget --> RouteTable (wanted)  --write_slice--> kernel
#                                 ^                                  |
#                                 +---- audit: compare <--- dump ----+
#                                              ^
#       notifications --> KernelEvents --> Schedule: refresh, repair, resync, retry
#
# * Waiting changes are a set of prefixes, never a queue of operations: the newest wish of a
#   prefix is what is written, and a prefix that flaps costs one write.
# * One task writes and compares. While it compares, nothing is written, so any difference that
#   it finds is the work of another program.
# * Any failure leads to the same remedy: compare the whole table, write the difference. That is
#   why the socket may lose notifications, a batch may be half done, and a restart may find
#   any mixture of old and new.
#
# Invariants:
#
# * Only routes of our table and protocol number are touched (ADR 0009). What was there at the
#   start is stale until BGP wants it or `adoption_done` says that it never will.
# * A route that the kernel refused does not stop others: it waits in `failed`, with its error, and
#   is tried again with back-off.
# * Nothing holds the loop for more than a slice: 1,000 routes are 1 to 3 ms of system call.
#   What the kernel does slowly whatever the size, such as removing a next-hop object with its
#   routes, happens in a thread that holds nothing (ADR 0033).
#
# Deliberately not here: what a target is in the kernel's terms (`fib.kernel_family`), when
# which work is due (`fib.kernel_schedule`), which foreign change is repaired (`fib.drift`).
#
# Sources: rtnetlink(7); Linux net/ipv4/fib_frontend.c, nexthop.c. BIRD compares by a periodic
# scan (sysdep/linux/netlink.c); the scan is the audit here, and notifications make it rare.

_log = logging.getLogger(__name__)

PROTOCOL_BIRD: Final = 12  # RTPROT_BIRD: what Calico's Felix expects of its BGP daemon
SLICE: Final = 1000  # routes written in one go
_DUMP_ATTEMPTS: Final = 3  # then an interrupted dump is good enough until the next
_GROUPS: Final = ("link", "ipv4_address", "ipv6_address", "ipv4_route", "ipv6_route")


class KernelFib:
    """Routes in a table of the Linux kernel; implements ``fib.routes.Fib``.

    ``start`` makes it: one that exists has its sockets, knows the links and what is in the
    table, and writes.

    Args:
        sock: Where the kernel is asked and told; closed with this.
        place: Table and protocol number of our routes; others are never touched.
        wants_objects: Use next-hop objects where the kernel has them.
        receive_buffer: Octets of the queue of notifications.
    """

    def __init__(
        self,
        sock: RequestSocket,
        place: Place,
        *,
        wants_objects: bool,
        receive_buffer: int,
    ) -> None:
        self._sock = sock
        self._place = place
        self._clock = asyncio.get_running_loop().time
        self._families: dict[Family, KernelFamily] = {}
        self._links = Links()
        self._objects = NextHopObjects(sock, place.protocol)
        self._schedule = Schedule(self._clock())
        self._drift = Drift()
        self._progress = Progress()
        self._task: asyncio.Task[None] | None = None
        self._events = KernelEvents(
            place,
            self._families,
            links=self._links,
            objects=self._objects,
            schedule=self._schedule,
            drift=self._drift,
            clock=self._clock,
        )
        # Opened before anything is read, so that no change falls between.
        self._notices = EventSocket(
            (*_GROUPS, "next_hop"),
            self._events.handle,
            self._events.handle_overflow,
            socket_filter=ignore_port(sock.port_id),
            receive_buffer=receive_buffer,
        )
        has_objects = self._objects.load() and wants_objects
        self._load_links()
        for family in (IPV4_UNICAST, IPV6_UNICAST):
            self._families[family] = KernelFamily(
                family.afi,
                sock,
                self._objects,
                self._links,
                place,
                uses_objects=has_objects,
            )

    # -- life --------------------------------------------------------------------------

    @classmethod
    async def start(
        cls,
        *,
        table: int = RT_TABLE_MAIN,
        protocol: int = PROTOCOL_BIRD,
        next_hop_objects: Literal["auto", "off"] = "auto",
        receive_buffer: int = RECEIVE_BUFFER,
    ) -> "KernelFib":
        """Read the kernel's routes: those of our protocol become stale until wanted.

        Args:
            table: The kernel's table number; 254 is main.
            protocol: Marks routes as ours (RTPROT_*).
            next_hop_objects: ``auto`` uses them where the kernel has them.
            receive_buffer: Octets of the queue of notifications.

        Raises:
            FibError: The kernel cannot be written to, for lack of CAP_NET_ADMIN as a rule.
        """
        sock = RequestSocket()
        try:
            _check_permission(sock)
            fib = cls(
                sock,
                Place(table, protocol),
                wants_objects=next_hop_objects == "auto",
                receive_buffer=receive_buffer,
            )
        except BaseException:
            await sock.close()
            raise
        try:
            for family in fib._families:
                await fib._compare(family)
        except BaseException:
            fib._notices.close()
            await sock.close()
            raise
        fib._notices.start()
        fib._task = asyncio.create_task(fib._run(), name="fib")
        return fib

    async def close(self, *, flush: bool = False) -> None:
        """Stop; with ``flush`` remove our routes, else leave them for a successor."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._notices.close()
        try:
            if flush:
                await self._sock.drain()  # the task may have ended in between
                await self._flush()
        finally:
            await self._sock.close()
            self._progress.close()

    async def _flush(self) -> None:
        for kernel in self._families.values():
            kernel.routes.waiting.clear()  # what was not written need not be
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
        self._schedule.wake.set()

    def retarget(self, family: Family, old: Target, new: Target) -> None:
        """Repoint all routes of a family from ``old`` to ``new``."""
        self._families[family].retarget(old, new)
        self._schedule.want_retarget()

    def adoption_done(self, family: Family) -> None:
        """Remove what was found at start and not submitted since."""
        self._families[family].routes.is_sweeping = True
        self._schedule.wake.set()

    def stale(self, family: Family) -> AbstractSet[bytes]:
        """Return what is in the kernel and was not asked for so far; a live view."""
        return self._families[family].routes.stale.keys()

    def observe(self, observer: WriteObserver | None) -> None:
        """Let a part hear of every batch that the kernel has answered, or none."""
        self._progress.observer = observer

    def waiting_count(self, family: Family) -> int:
        """Return how many prefixes of a family wait to be written."""
        return len(self._families[family].routes.waiting)

    async def wait_until_synced(self) -> None:
        """Return when everything submitted so far was tried."""
        if not self.is_synced:
            await self._progress.wait()

    # -- state -------------------------------------------------------------------------

    @property
    def is_synced(self) -> bool:
        """Nothing waits to be written; failed routes do not count as waiting."""
        if not self._schedule.is_clear:
            return False
        families = self._families.values()
        return not any(k.writer.is_sending or k.routes.waiting_count for k in families)

    @property
    def counts(self) -> FibCounts:
        """Gauges and counters over both families."""
        kernels = self._families.values()
        return replace(
            counts_of(kernel.routes for kernel in kernels),
            next_hop_objects=len(self._objects),
            written=sum(kernel.writer.written_count for kernel in kernels),
            drifts=self._drift.count,
            repairs=self._drift.repaired,
            resyncs=self._schedule.resync_count,
            overflows=self._events.overflow_count,
        )

    def errors(self, family: Family) -> dict[bytes, Fault]:
        """Return why each route that is not in the kernel is not."""
        return dict(self._families[family].routes.failed)

    def routes(self, family: Family) -> Iterator[FibRoute]:
        """Yield every route, in no order, each as it stands when it is yielded."""
        return self._families[family].routes.describe()

    def route(self, family: Family, nlri: bytes) -> FibRoute | None:
        """Return the route of one prefix; ``None`` without a route of this daemon."""
        return self._families[family].routes.describe_one(nlri)

    # -- the task ----------------------------------------------------------------------

    async def _run(self) -> None:
        pause, fault = RETRY_FIRST, ""
        while True:
            try:
                await self._work()
            except Exception as error:  # noqa: BLE001  # routes are written for ever
                # Nothing is known of the last batch: look at the whole table.
                self._schedule.resync_after(self._clock() + pause)
                pause = min(2 * pause, RETRY_LAST)
                fault = _note_fault(error, fault, self._place)
            else:
                if not self._schedule.wants_resync:
                    pause, fault = RETRY_FIRST, ""
            if self.is_synced:
                self._progress.end()
            await self._sleep()

    async def _sleep(self) -> None:
        wake, repair_at = self._schedule.wake, self._drift.next_due
        due = self._schedule.next_due
        due = due if repair_at is None else min(due, repair_at)
        timer = asyncio.get_running_loop().call_at(due, wake.set)
        await wake.wait()
        timer.cancel()
        wake.clear()

    async def _work(self) -> None:
        schedule, now = self._schedule, self._clock()
        if schedule.take_audit(now):
            self._drift.forget(now)
        if schedule.take_resync(now):
            await self._resync()
        elif extent := schedule.take_refresh():
            self._refresh(only_blocked=extent == "blocked")
        if schedule.take_retarget():
            for kernel in self._families.values():
                await kernel.prepare_changed()
        for family, nlri in self._drift.due(now):
            self._families[family].routes.requeue((nlri,))
        if schedule.take_retry(now):
            for kernel in self._families.values():
                kernel.routes.requeue(list(kernel.routes.failed))
        await self._write()
        has_failed = any(k.routes.failed for k in self._families.values())
        schedule.note_refused(self._clock(), are_any=has_failed)

    async def _write(self) -> None:
        kernels = list(self._families.items())
        busy = True
        while busy:
            busy = False
            for family, kernel in kernels:
                if await kernel.write_slice(SLICE):
                    busy = True
                    self._progress.written(family, self.waiting_count(family))
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

    def _refresh(self, *, only_blocked: bool) -> None:
        for kernel in self._families.values():
            kernel.refresh(only_blocked=only_blocked)

    async def _resync(self) -> None:
        self._load_links()
        self._objects.load()
        self._schedule.take_refresh()
        self._refresh(only_blocked=False)
        for family in self._families:
            changed = await self._compare(family)
            if changed:
                self._drift.note_found(family, changed)
            routes = self._families[family].routes
            routes.requeue(list(routes.failed))

    async def _compare(self, family: Family) -> int:
        """Compare the whole of our routes in slices; return how many had changed."""
        kernel = self._families[family]
        request = route_dump(family.afi, *self._place)
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


def _check_permission(sock: RequestSocket) -> None:
    """See that the kernel may be written to.

    It checks the permission before it looks at the request, which would be refused anyway:
    it names no object.

    Raises:
        FibError: It may not.
    """
    _, fault = sock.ask(encode_next_hop_removal(0))
    if fault is not None and fault.errno == errno.EPERM:
        raise FibError(
            "no permission to change the kernel's routes: pybgpd needs"
            " CAP_NET_ADMIN; run it with --fib off to leave the kernel alone",
            fault.errno,
        )


def _note_fault(error: Exception, known: str, place: Place) -> str:
    """Log a failure to write, unless it is the last one again; return what it says."""
    text = str(error) or type(error).__name__
    if text != known:
        is_ours = not isinstance(error, FibError | OSError | MemoryError)
        trace = error if is_ours else None
        _log.warning(
            "kernel routes: %(reason)s; comparing them all",
            {"event": "route-writing-failed", "reason": text, **place._asdict()},
            exc_info=trace,
        )
    return text
