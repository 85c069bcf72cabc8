"""When our own restart is over, family by family (RFC 4724 4.1). Pure.

    started ---(1)---> TELL ---(2)---> SWEEP

    TELL    routes of peers are told on, End-of-RIB is sent, the R flag goes
    SWEEP   the kernel follows what was selected; what was found in it and is wanted by
            nobody goes

    a peer, in one family                 (1) waits      (2) waits
    ------------------------------------  -------------  -------------
    shut down, or without the family      no             no
    has sent End-of-RIB                   no             no
    promised one                          yes            yes
    has itself restarted (R flag)         no             yes
    without graceful restart              until silent   until silent
    away                                  for a window   for a window

A peer with the R flag waits for others itself: were our End-of-RIB to wait for its, both
would wait for ever. What the kernel has may wait for it. A peer without graceful restart
may never send an End-of-RIB; a silence after its UPDATEs stands for it.

The window begins anew with each session that comes up: peers come back together, and one
that is still away when nobody has come for a while is not waited for. While nobody at all
is back there is no window, since nothing would be better than what there is: a cap ends
the wait, as it does all others.
"""

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from bgpd.session.negotiation import Negotiated
from rib.family import Family

WINDOW: Final = 10.0
"""Seconds without a new session. Calico's BIRD tries again every 5, as ours do."""
SILENCE: Final = 3.0
"""Seconds without an UPDATE after which a peer without End-of-RIB has told its routes."""


class Step(Enum):
    """What is done once in a family's recovery."""

    TELL = "routes are told on"
    SWEEP = "the kernel's stale routes go"


class Standing(Enum):
    """What a peer has to do with a family's recovery."""

    NONE = "shut down, or without the family"
    TOLD = "has told its routes"
    TELLING = "is telling its routes"
    RESTARTING = "has restarted too"
    AWAY = "has no session"


class PeerSight(NamedTuple):
    """A peer as recovery sees it; thousands are made for one look.

    Attributes:
        is_wanted: A session is wanted.
        families: Configured.
        negotiated: Of the established session; ``None`` without one.
        ended: Families whose End-of-RIB came.
        up_since: Monotonic seconds; of the established session.
        heard_at: When the last UPDATE came, or the session up.
    """

    is_wanted: bool
    families: AbstractSet[Family]
    negotiated: Negotiated | None = None
    ended: AbstractSet[Family] = frozenset()
    up_since: float = 0.0
    heard_at: float = 0.0

    def standing(self, family: Family, now: float, resumed: float = -inf) -> Standing:
        """Return what the peer has to do with a family's recovery.

        Args:
            family: Which.
            now: Monotonic seconds.
            resumed: Since when this side has listened without a break.
        """
        if not self.is_wanted or family not in self.families:
            return Standing.NONE
        negotiated = self.negotiated
        if negotiated is None:
            return Standing.AWAY
        if family not in negotiated.families:
            return Standing.NONE
        if family in self.ended:
            return Standing.TOLD
        graceful = negotiated.graceful_restart
        if graceful is None:
            is_silent = now - max(self.heard_at, resumed) >= SILENCE
            return Standing.TOLD if is_silent else Standing.TELLING
        return Standing.RESTARTING if graceful.is_restarting else Standing.TELLING


@dataclass(frozen=True, slots=True)
class Caps:
    """How long recovery takes at most.

    Attributes:
        tell: Seconds from the start to ``Step.TELL``; 0 where nothing is recovered from.
        sweep: Seconds from the start to ``Step.SWEEP``.
    """

    tell: float
    sweep: float


class Recovery:
    """The recovery of some families.

    Args:
        families: Which.
        started: Monotonic seconds.
        caps: See there.
        window: See ``WINDOW``.

    Attributes:
        started: Monotonic seconds.
        untold: Families whose routes are not told on yet.
        unswept: Families whose kernel routes were not swept yet.
        waiting_count: Peers that were waited for at the last look.
    """

    def __init__(
        self,
        families: Iterable[Family],
        started: float,
        caps: Caps,
        window: float = WINDOW,
    ) -> None:
        self.started = started
        self.untold = set(families)
        self.unswept = set(self.untold)
        self.waiting_count = 0
        self.caps = caps
        self._window = window
        self._resumed = -inf

    def resume(self, lost: float, now: float) -> None:
        """Leave a standstill of ``lost`` seconds out: nobody was listened to meanwhile."""
        self.started += lost
        self._resumed = now

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return not self.unswept

    def look(
        self, peers: Collection[PeerSight], now: float, *, has_ranges: bool = False
    ) -> list[tuple[Family, Step]]:
        """Return the steps that are due, each of them once, in order.

        Args:
            peers: All there are.
            now: Monotonic seconds.
            has_ranges: Peers may come that nobody knows by name.
        """
        due: list[tuple[Family, Step]] = []
        awaited: set[int] = set()
        for family in sorted(self.unswept):
            standings = [peer.standing(family, now, self._resumed) for peer in peers]
            may_tell, may_sweep, waits = self._judge(
                family, peers, standings, now, has_ranges=has_ranges
            )
            if family in self.untold:
                awaited.update(i for i, s in enumerate(standings) if s in waits)
                if may_tell or now - self.started >= self.caps.tell:
                    self.untold.discard(family)
                    due.append((family, Step.TELL))
            is_late = now - self.started >= self.caps.sweep
            if is_late or (may_sweep and family not in self.untold):
                self.unswept.discard(family)
                due.append((family, Step.SWEEP))
        self.waiting_count = len(awaited)
        return due

    def _judge(
        self,
        family: Family,
        peers: Collection[PeerSight],
        standings: list[Standing],
        now: float,
        *,
        has_ranges: bool,
    ) -> tuple[bool, bool, frozenset[Standing]]:
        """Return whether to tell, whether to sweep, and who is waited for."""
        count = standings.count  # a Counter asks each for its hash, in Python
        away = count(Standing.AWAY)
        back = len(standings) - away - count(Standing.NONE)
        ups = (
            peer.up_since
            for peer in peers
            if peer.negotiated is not None and family in peer.negotiated.families
        )
        last = max(max(ups, default=self.started), self._resumed)
        is_quiet = now - last >= self._window
        if back:
            is_complete = is_quiet or not (away or has_ranges)
        elif away or has_ranges:
            is_complete = False
        else:  # nobody has the family, once the configuration was taken in
            is_complete = now - self.started >= SILENCE
        waits = {Standing.TELLING}
        if not is_complete:
            waits.add(Standing.AWAY)
        may_tell = is_complete and not count(Standing.TELLING)
        may_sweep = may_tell and not count(Standing.RESTARTING)
        return may_tell, may_sweep, frozenset(waits)

    def progress(self, now: float) -> tuple[int, float, float] | None:
        """Return peers waited for, seconds since the start, seconds of the cap.

        ``None`` once all routes may be told.
        """
        if not self.untold:
            return None
        return self.waiting_count, now - self.started, self.caps.tell
