"""How long routes take through the daemon: histograms from their receipt to each stage. Pure.

    received   the turn of the event loop that found the UPDATE's octets in the socket
    decided    Loc-RIB has chosen best paths
    sent       the octets of the flush are written to the sockets of all members that keep up
    installed  the kernel has acknowledged the route

Prefixes are counted, not UPDATEs. A moment belongs to a batch: the changes of one read of a socket
were received together, and the prefixes of one flush are sent together, when the last of its
members has been written to. So every value is an upper bound for its prefixes, never too good.

Stages after the first know how many prefixes have passed them and not which: ``Arrivals``
takes them to pass in the order in which they came. A prefix that changes again while it
waits leaves once and was counted twice; what is left over is dropped when nothing waits any more.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from rib.change import Change
from rib.family import Family

BOUNDS: Final = (
    *(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the buckets in seconds; the clock of some event loops counts milliseconds."""

MAX_ARRIVALS: Final = 1024  # batches in a queue; more are counted with the last


class Arrival(NamedTuple):
    """A batch that waits.

    Attributes:
        at: Monotonic seconds of its receipt; ``None``: a peer did not send it just now.
        size: Prefixes.
    """

    at: float | None
    size: int


class Histogram:
    """Counts of observations by their size.

    Attributes:
        counts: For each bound of ``BOUNDS``, and what is above the last; not cumulative.
        total: Sum of all observations, in seconds.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float, count: int) -> None:
        """Count ``count`` prefixes that took ``seconds``."""
        self.counts[bisect_left(BOUNDS, seconds)] += count
        self.total += seconds * count


class Arrivals:
    """Batches that wait at one stage, the oldest first; bounded by ``MAX_ARRIVALS``."""

    __slots__ = ("_queue", "waiting")

    def __init__(self) -> None:
        self._queue: deque[Arrival] = deque()
        self.waiting = 0

    def add(self, arrival: Arrival) -> None:
        """Add a batch behind the others."""
        queue = self._queue
        self.waiting += arrival.size
        if queue and (queue[-1].at == arrival.at or len(queue) >= MAX_ARRIVALS):
            last = queue.pop()
            arrival = Arrival(last.at, last.size + arrival.size)
        queue.append(arrival)

    def take(self, count: int) -> list[Arrival]:
        """Remove and return the oldest ``count`` prefixes, or all if there are fewer."""
        queue, taken = self._queue, []
        while queue and count > 0:
            first = queue.popleft()
            if first.size > count:
                queue.appendleft(first._replace(size=first.size - count))
                first = first._replace(size=count)
            count -= first.size
            self.waiting -= first.size
            taken.append(first)
        return taken

    def take_all(self) -> list[Arrival]:
        """Remove and return everything."""
        return self.take(self.waiting)


class KernelQueue(Protocol):
    """Where flushed changes of several families wait for the kernel."""

    def waiting_count(self, family: Family) -> int:
        """Return how many prefixes wait."""


class Propagation:
    """One family's histograms, and what is on its way to the next stage.

    ``now`` is monotonic seconds, as ``received_at`` is.

    Args:
        family: Whose changes they are.

    Attributes:
        decided: Until the best path was chosen.
        sent: Until the change was written to all peers that keep up.
        installed: Until the kernel acknowledged it; empty without a kernel table.
        kernel: Takes flushed changes; ``None``: they do not go into the kernel.
    """

    __slots__ = (
        *("decided", "sent", "installed", "kernel"),
        *("_family", "_pending", "_flushed", "_unsent", "_unwritten", "_known"),
    )

    def __init__(self, family: Family) -> None:
        self.decided = Histogram()
        self.sent = Histogram()
        self.installed = Histogram()
        self.kernel: KernelQueue | None = None
        self._family = family
        self._pending = Arrivals()
        self._flushed: list[Arrival] = []
        self._unsent = Arrivals()
        self._unwritten = Arrivals()
        self._known = 0  # what waited for the kernel before the flush

    # hot: per batch
    def note_decided(
        self, changes: Sequence[Change], received_at: float | None, now: float
    ) -> None:
        """Note changes of Loc-RIB; those of no peer pass by unmeasured."""
        count = 0
        for _, _, nlris in changes:
            count += len(nlris)
        if received_at is not None:
            self.decided.observe(now - received_at, count)
        self._pending.add(Arrival(received_at, count))

    def begin_flush(self, changes: Sequence[Change], *, is_all: bool) -> None:
        """Note what is about to be flushed.

        Args:
            changes: Merged, if prefixes changed again while they waited.
            is_all: Nothing else is left to be flushed.
        """
        pending = self._pending
        count = sum(len(change.nlris) for change in changes)
        self._flushed = pending.take_all() if is_all else pending.take(count)
        if self.kernel is not None:
            self._known = self.kernel.waiting_count(self._family)

    def end_flush(self, *, is_queued: bool) -> None:
        """Note that the flush is encoded, and handed to the kernel's part.

        Args:
            is_queued: There is something to write to peers.
        """
        flushed, self._flushed = self._flushed, []
        if is_queued:
            for arrival in flushed:
                self._unsent.add(arrival)
        if self.kernel is not None:
            # What leads where it led before is not written.
            more = self.kernel.waiting_count(self._family) - self._known
            passed = sum(arrival.size for arrival in flushed) - more
            for at, count in flushed:
                if passed < count:
                    self._unwritten.add(Arrival(at, count - max(0, passed)))
                passed -= count

    def stages(self) -> Sequence[tuple[str, Histogram]]:
        """Return the histograms by the names of their stages."""
        return (
            ("decided", self.decided),
            ("sent", self.sent),
            ("installed", self.installed),
        )

    def note_sent(self, now: float) -> None:
        """Note that all flushes are written."""
        _observe(self.sent, self._unsent.take_all(), now)

    def note_installed(self, waiting: int, now: float) -> None:
        """Note an acknowledgement of the kernel.

        Args:
            waiting: Prefixes that wait still.
            now: When it came.
        """
        unwritten = self._unwritten
        _observe(self.installed, unwritten.take(unwritten.waiting - waiting), now)


def _observe(histogram: Histogram, arrivals: Sequence[Arrival], now: float) -> None:
    for at, count in arrivals:
        if at is not None:
            histogram.observe(max(0.0, now - at), count)
