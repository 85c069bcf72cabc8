"""The kernel's table in memory: for tests, dry runs and ``--fib`` without a kernel.

``MemoryFib`` passes the contract tests of ``KernelFib``. ``MemoryKernel`` is the part that
outlives it, as the kernel's table outlives a daemon; it keeps the kernel's rules: one
route for a prefix and metric, whichever program owns it.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from fib.counts import counts_of
from fib.netlink.rtnetlink import DEFAULT_METRIC
from fib.plan import CREATE, DELETE, GONE, Entry, Operation, RouteTable
from fib.routes import Fault, FibCounts, FibRoute, Target, WriteObserver
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family

EXISTS: Final = Fault(errno.EEXIST, "another program's route is in the way")
_SLICE: Final = 4096

Place = tuple[int, bytes, int]  # afi, NLRI, metric


class MemoryKernel:
    """A routing table that several programs write to.

    Attributes:
        table: ``(protocol, target)`` by place.
        refusals: Targets that cannot be installed, and why.
    """

    def __init__(self) -> None:
        self.table: dict[Place, tuple[int, Target]] = {}
        self.refusals: dict[Target, Fault] = {}
        self._listeners: list[Callable[[Place], None]] = []

    def listen(self, handle: Callable[[Place], None]) -> None:
        """Subscribe to foreign changes."""
        self._listeners.append(handle)

    def ignore(self, handle: Callable[[Place], None]) -> None:
        """Stop telling."""
        self._listeners.remove(handle)

    def change(self, place: Place, route: tuple[int, Target] | None) -> None:
        """Do as another program would: put or remove a route."""
        if route is None:
            self.table.pop(place, None)
        else:
            self.table[place] = route
        for handle in list(self._listeners):
            handle(place)

    def apply(self, afi: int, protocol: int, operation: Operation) -> Fault | None:
        """Do one of our operations by the kernel's rules; return the error, if any."""
        verb, nlri, entry = operation
        place = (afi, nlri, entry.metric)
        present = self.table.get(place)
        if verb is DELETE:
            if present is None or present[0] != protocol:
                return Fault(errno.ESRCH, "no such route")
            del self.table[place]
            return None
        if verb is CREATE and present is not None:
            return EXISTS
        if entry.target in self.refusals:
            return self.refusals[entry.target]
        self.table[place] = (protocol, entry.target)
        return None


class MemoryFib:
    """Routes in a ``MemoryKernel``; implements ``fib.routes.Fib``. Writes at once.

    Args:
        kernel: Shared between instances that follow each other.
        protocol: Marks routes as ours.
    """

    def __init__(
        self, kernel: MemoryKernel | None = None, *, protocol: int = 12
    ) -> None:
        self.kernel = MemoryKernel() if kernel is None else kernel
        self._protocol = protocol
        self._tables = {IPV4_UNICAST: RouteTable(), IPV6_UNICAST: RouteTable()}
        self._entries: dict[tuple[int, Target], Entry] = {}
        self._written = self._drifts = 0
        self._is_running = False

    async def start(self) -> None:
        """Read the kernel's routes: those of our protocol become stale until wanted."""
        self._is_running = True
        self.kernel.listen(self._handle_change)
        for family, table in self._tables.items():
            table.audit_begin()
            table.audit(
                (nlri, self._entry(afi, target))
                for (afi, nlri, _), (protocol, target) in self.kernel.table.items()
                if afi == family.afi and protocol == self._protocol
            )
            self._write(family)

    async def close(self, *, flush: bool = False) -> None:
        """Stop; with ``flush`` remove our routes, else leave them for a successor."""
        if not self._is_running:
            return
        for family, table in self._tables.items():
            if flush:
                table.submit(list(table.wanted), None)
                table.is_sweeping = True
                self._write(family)
        self._is_running = False
        self.kernel.ignore(self._handle_change)

    def submit(
        self, family: Family, nlris: Iterable[bytes], target: Target | None
    ) -> None:
        """Want ``nlris`` to lead to ``target``; ``None`` removes them."""
        entry = None if target is None else self._entry(family.afi, target)
        self._tables[family].submit(nlris, entry)
        self._write(family)

    def retarget(self, family: Family, old: Target, new: Target) -> None:
        """Repoint all routes of a family from ``old`` to ``new``."""
        entry = self._entries.get((family.afi, old))
        if entry is not None:
            table = self._tables[family]
            table.redirect({entry}, self._entry(family.afi, new))
            self._write(family)

    def adoption_done(self, family: Family) -> None:
        """Remove what was found at start and not submitted since."""
        self._tables[family].is_sweeping = True
        self._write(family)

    def stale(self, family: Family) -> AbstractSet[bytes]:
        """Return what is in the kernel and was not asked for so far; a live view."""
        return self._tables[family].stale.keys()

    def observe(self, observer: WriteObserver | None) -> None:
        """Nothing ever waits here, so there is nothing to hear of."""

    def waiting_count(self, family: Family) -> int:
        """Return how many prefixes of a family wait to be written."""
        return self._tables[family].waiting_count

    async def wait_until_synced(self) -> None:
        """Return at once: everything is written when it is submitted."""

    @property
    def is_synced(self) -> bool:
        """Nothing waits to be written, unless ``start`` was not called yet."""
        return not any(table.waiting_count for table in self._tables.values())

    @property
    def counts(self) -> FibCounts:
        """Gauges and counters over both families."""
        return replace(
            counts_of(self._tables.values()),
            written=self._written,
            drifts=self._drifts,
            repairs=self._drifts,
        )

    def errors(self, family: Family) -> dict[bytes, Fault]:
        """Return why each route that is not in the kernel is not."""
        return dict(self._tables[family].failed)

    def routes(self, family: Family) -> Iterator[FibRoute]:
        """Yield every route, in no order."""
        return self._tables[family].describe()

    def route(self, family: Family, nlri: bytes) -> FibRoute | None:
        """Return the route of one prefix; ``None`` without a route of this daemon."""
        return self._tables[family].describe_one(nlri)

    def _entry(self, afi: int, target: Target) -> Entry:
        entry = self._entries.get((afi, target))
        if entry is None:
            metric = target.metric or DEFAULT_METRIC[afi]
            entry = Entry(target, metric, uses_object=False)
            entry.image, entry.is_ready = target, True
            self._entries[afi, target] = entry
        return entry

    def _write(self, family: Family) -> None:
        table = self._tables[family]
        while self._is_running and (changes := table.take(_SLICE)):
            self._apply(family, table.decide(changes), is_retry=False)
        if self._is_running:
            self._apply(family, table.take_surplus(), is_retry=True)

    def _apply(
        self, family: Family, operations: list[Operation], *, is_retry: bool
    ) -> None:
        faults = {}
        for index, operation in enumerate(operations):
            fault = self.kernel.apply(family.afi, self._protocol, operation)
            if fault is not None:
                faults[index] = fault
        self._written += len(operations)
        table = self._tables[family]
        follow_up = table.settle(operations, faults, is_retry=is_retry)
        if follow_up:
            self._apply(family, follow_up, is_retry=True)

    def _handle_change(self, place: Place) -> None:
        afi, nlri, metric = place
        family = IPV4_UNICAST if afi == IPV4_UNICAST.afi else IPV6_UNICAST
        table = self._tables[family]
        route = self.kernel.table.get(place)
        if route is not None and route[0] == self._protocol:
            is_lost = bool(table.observe(nlri, self._entry(afi, route[1])))
        else:
            is_lost = table.lose(nlri, metric, GONE)
        if is_lost:
            self._drifts += 1
        if is_lost or nlri in table.failed:
            table.requeue((nlri,))
        self._write(family)
