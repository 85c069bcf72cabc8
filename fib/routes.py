"""The routes for the kernel's table, and the interface of what programs them.

Pure types. ``Target`` is where a prefix leads; it is made once per distinct next hop or
ECMP group, never per prefix, and interned by value. Prefixes are NLRI octets (``rib.nlri``).

``Fib`` has two implementations that pass the same contract tests: ``fib.kernel.KernelFib``
and ``fib.memory.MemoryFib``.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

from rib.family import Family


class TargetKind(IntEnum):
    """What the kernel does with a packet; the values are its RTN_* numbers."""

    UNICAST = 1
    BLACKHOLE = 6  # dropped in silence: the node's own blocks
    UNREACHABLE = 7  # dropped with an ICMP host unreachable


@dataclass(frozen=True, slots=True)
class Hop:
    """One way out.

    Attributes:
        gateway: 4 or 16 octets; may be an IPv6 address for an IPv4 route (RFC 8950);
            empty for a directly connected destination.
        interface: Device name; empty lets the kernel's own routes say which device
            reaches ``gateway``.
        is_onlink: ``gateway`` is reached through ``interface`` though no connected
            route says so, as with Calico's ``tunl0``.
        weight: Share among the hops of one target, 1 to 256.
    """

    gateway: bytes = b""
    interface: str = ""
    is_onlink: bool = False
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """Where a prefix leads.

    Attributes:
        kind: ``UNICAST`` needs at least one hop, the others take none.
        hops: More than one is ECMP.
        metric: The kernel's route priority, lower is preferred; 0 is the kernel's
            default (0 for IPv4, 1024 for IPv6).
        preferred_source: Source address of the node's own packets; empty for the
            kernel's choice.
        group: Keeps routes together that follow one another: targets that are alike but
            for this have next-hop objects of their own, so that a next hop which other
            routes lead to can move with all its routes and no others.
    """

    kind: TargetKind = TargetKind.UNICAST
    hops: tuple[Hop, ...] = ()
    metric: int = 0
    preferred_source: bytes = b""
    group: bytes = b""

    def can_become(self, other: "Target") -> bool:
        """Say whether a next-hop object that leads here can be changed to lead there.

        What it tells are the hops. A group may shrink to one member, but the kernel makes
        no group of a single hop.
        """
        return (
            self.kind is other.kind
            and self.metric == other.metric
            and self.preferred_source == other.preferred_source
            and (len(self.hops) > 1 or len(other.hops) <= 1)
        )


class Fault(NamedTuple):
    """Why a wanted route is not in the kernel: its error number and words."""

    errno: int
    text: str


class RouteState(Enum):
    """The state of one of our routes."""

    INSTALLED = "installed"
    PENDING = "pending"  # wanted, not written yet
    FAILED = "failed"  # the kernel refused it; tried again on events and with back-off
    CONFLICT = "conflict"  # another program holds that prefix and metric
    STALE = "stale"  # found at start, not wanted by anybody so far


@dataclass(frozen=True, slots=True)
class FibRoute:
    """One line of ``show fib``.

    Attributes:
        nlri: The prefix.
        target: Where it leads; for ``STALE`` ones as the kernel tells it.
        state: How far it got.
        fault: Why it is not installed; ``None`` unless ``FAILED`` or ``CONFLICT``.
    """

    nlri: bytes
    target: Target
    state: RouteState
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class FibCounts:
    """Gauges, then counters since start; all over both address families.

    Attributes:
        wanted: Routes wanted in the kernel, as far as checked.
        installed: Those that are.
        pending: Changes submitted and not looked at yet.
        failed: Routes the kernel refused, conflicts excluded.
        conflicts: Routes whose prefix and metric another program holds.
        stale: Routes found at the start that are not wanted yet.
        next_hop_objects: Kernel next-hop objects held.
        adopted: Routes found at start (or later, with our protocol number).
        written: Route messages sent.
        drifts: Foreign changes of our routes noticed.
        repairs: Routes written again because of such a change.
        resyncs: Comparisons with the whole table.
        overflows: Times the kernel dropped notifications (ENOBUFS).
    """

    wanted: int = 0
    installed: int = 0
    pending: int = 0
    failed: int = 0
    conflicts: int = 0
    stale: int = 0
    next_hop_objects: int = 0
    adopted: int = 0
    written: int = 0
    drifts: int = 0
    repairs: int = 0
    resyncs: int = 0
    overflows: int = 0


class WriteObserver(Protocol):
    """Follows how far the kernel has come."""

    def written(self, family: Family, waiting: int) -> None:
        """The kernel has answered what it was asked of a family; so many prefixes wait."""


class Fib(Protocol):
    """The kernel's table, as the daemon sees it: desired state in, differences out.

    One that exists has read what is there: routes of our protocol are stale until wanted.
    """

    async def close(self, *, flush: bool = False) -> None:
        """Stop; with ``flush`` remove our routes, else leave them for a successor."""

    def submit(
        self, family: Family, nlris: Iterable[bytes], target: Target | None
    ) -> None:
        """Want ``nlris`` to lead to ``target``; ``None`` removes them.

        Returns at once; the newest word on a prefix wins. About 0.1 us per prefix.
        """

    def retarget(self, family: Family, old: Target, new: Target) -> None:
        """Repoint all routes of a family from ``old`` to ``new``.

        One message where the kernel has next-hop objects and ``old.can_become(new)``;
        otherwise as if every prefix had been submitted.
        """

    def adoption_done(self, family: Family) -> None:
        """Remove what was found at start and not submitted since; call after End-of-RIB."""

    def stale(self, family: Family) -> AbstractSet[bytes]:
        """Return what is in the kernel and was not asked for so far; a live view."""

    def observe(self, observer: WriteObserver | None) -> None:
        """Let a part hear of every batch that the kernel has answered, or none."""

    def waiting_count(self, family: Family) -> int:
        """Return how many prefixes of a family wait to be written."""

    async def wait_until_synced(self) -> None:
        """Return when everything submitted so far was tried."""

    @property
    def is_synced(self) -> bool:
        """Nothing waits to be written; failed routes do not count as waiting."""

    @property
    def counts(self) -> FibCounts:
        """Gauges and counters, for metrics and ``show status``."""

    def errors(self, family: Family) -> dict[bytes, Fault]:
        """Return why each route that is not in the kernel is not."""

    def routes(self, family: Family) -> Iterator[FibRoute]:
        """Yield every route, in no order, each as it stands when it is yielded."""

    def route(self, family: Family, nlri: bytes) -> FibRoute | None:
        """Return the route of one prefix; ``None`` without a route of this daemon."""
