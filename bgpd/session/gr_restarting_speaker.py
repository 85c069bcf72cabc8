"""Selection deferral after our own restart, family by family (RFC 4724 4.1). Pure.

The other side, which keeps the routes of a peer that restarts, is ``gr_helper``.
"""

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from bgpd.session.negotiation import Negotiated
from rib.family import Family

# Theory
# ------
# We have restarted. Peers keep the routes that we advertised before, the kernel keeps
# forwarding by what an earlier run left there, and both wait for us. Each step that we take
# too soon removes good routes: a peer that receives our End-of-RIB drops what we have not
# advertised again by then, and a reflector that has heard only half its clients would thus
# remove the other half from everybody. So each family goes through three steps, and each
# waits for the peers whose routes it depends on (Selection_Deferral_Timer):
#
#       started ---(1)---> TELL ---(2)---> END ---(3)---> SWEEP
#
#       TELL    routes of peers are advertised
#       END     End-of-RIB is sent, the R flag goes
#       SWEEP   the kernel follows the selected routes; adopted routes that no BGP route
#               confirms go
#
#       a peer, in one family              (1) waits      (2) waits      (3) waits
#       ---------------------------------  -------------  -------------  -------------
#       shut down, or without the family   no             no             no
#       has sent End-of-RIB                no             no             no
#       promised one                       yes            yes            yes
#       has itself restarted (R flag)      no             no             yes
#       without graceful restart           until silent   until silent   until silent
#       away, and keeps our routes         for a window   yes            yes
#       away                               for a window   for a window   for a window
#
# Why each row is as it is:
#
# * A peer with the R flag waits for others itself. Were our End-of-RIB to wait for its, both
#   would wait for ever (two reflectors of one site after a power failure). The kernel's
#   routes may wait for it: that costs nothing.
# * A peer without graceful restart may never send an End-of-RIB. A silence after its
#   UPDATEs stands for it.
# * A peer that had a session with the previous run keeps our routes for the restart time that
#   our OPEN gave it, and other peers keep what it advertised. End-of-RIB waits for it as
#   long. The previous run has written down who these peers are
#   (`bgpd.speaker.remembered_peers`); any other peer that is away had nothing from us.
# * TELL waits for them through a window only: a peer that is back must soon learn what has
#   changed. The window starts again with each session that comes up, because peers come
#   back together. While no peer is back there is no window, since nothing that we could
#   advertise would be better than what peers keep.
# * A cap ends every wait. That of SWEEP does not begin while no peer is back, as long as
#   peers' routes would be kept had we not restarted (RFC 9494): if all reflectors are gone,
#   what the kernel has is all that there is, whether or not this daemon was restarted.
#
# Invariants: each step happens once in a family, in this order; caps are never exceeded;
# without any peer the restart is over as soon as the configuration is known.
#
# Deliberately not here: the clock and the peers. `look` receives a sight of each peer and
# the time; `bgpd.speaker.selection_deferral` makes the sights and carries the steps out.

WINDOW: Final = 10.0
"""Seconds without a new session. Calico's BIRD tries again every 5, as ours do."""
SILENCE: Final = 3.0
"""Seconds without an UPDATE after which a peer without End-of-RIB has told its routes."""


class Step(Enum):
    """A step that happens once in the deferral of a family."""

    TELL = "sending of routes resumes"
    END = "End-of-RIB is sent"
    SWEEP = "the kernel's stale routes go"


class PeerStatus(Enum):
    """The role of a peer in the deferral of a family."""

    NONE = "shut down, or does not carry the family"
    SENT = "has sent End-of-RIB"
    SENDING = "is sending its routes"
    RESTARTING = "has restarted as well"
    KEEPING = "has no session but keeps our routes"
    AWAY = "has no session"


class PeerSight(NamedTuple):
    """A peer as the deferral sees it; one check creates thousands.

    Attributes:
        is_wanted: A session is wanted.
        families: Configured.
        negotiated: Of the established session; ``None`` without one.
        ended: Families whose End-of-RIB came.
        up_since: Monotonic seconds; of the established session.
        heard_at: When the last UPDATE came, or the session up.
        kept: Families whose routes it keeps since it lost us.
        kept_until: Monotonic seconds; for so long it is worth waiting for.
        address: Whose sight it is.
    """

    is_wanted: bool
    families: AbstractSet[Family]
    negotiated: Negotiated | None = None
    ended: AbstractSet[Family] = frozenset()
    up_since: float = 0.0
    heard_at: float = 0.0
    kept: AbstractSet[Family] = frozenset()
    kept_until: float = 0.0
    address: str = ""

    def status(self, family: Family, now: float, resumed: float = -inf) -> PeerStatus:
        """Return the role of a peer in the deferral of a family.

        Args:
            family: Which.
            now: Monotonic seconds.
            resumed: Since when this side has listened without a break.
        """
        if not self.is_wanted or family not in self.families:
            return PeerStatus.NONE
        negotiated = self.negotiated
        if negotiated is None:
            is_keeping = now < self.kept_until and family in self.kept
            return PeerStatus.KEEPING if is_keeping else PeerStatus.AWAY
        if family not in negotiated.families:
            return PeerStatus.NONE
        if family in self.ended:
            return PeerStatus.SENT
        graceful = negotiated.graceful_restart
        if graceful is None:
            is_silent = now - max(self.heard_at, resumed) >= SILENCE
            return PeerStatus.SENT if is_silent else PeerStatus.SENDING
        return PeerStatus.RESTARTING if graceful.is_restarting else PeerStatus.SENDING


@dataclass(frozen=True, slots=True)
class DeferralLimits:
    """Upper limits of the deferral.

    Attributes:
        tell: Seconds from the start to ``Step.TELL``; 0 if no peer keeps our routes for
            certain.
        end: Seconds from the start to ``Step.END``, not before ``tell``; 0 where nothing is
            recovered from.
        sweep: Seconds from the start to ``Step.SWEEP``.
        alone: Seconds from the start in which those of ``sweep`` do not pass while no peer
            is back.
    """

    tell: float
    end: float
    sweep: float
    alone: float = 0.0


class Progress(NamedTuple):
    """The progress of a deferral.

    Attributes:
        waiting_count: Peers that are waited for.
        elapsed: Seconds since the start.
        cap: Seconds from the start after which we wait for no peer.
    """

    waiting_count: int
    elapsed: float
    cap: float


class RestartingSpeaker:
    """The deferral of some families.

    Args:
        families: Which.
        started: Monotonic seconds.
        limits: See there.
        window: See ``WINDOW``.

    Attributes:
        started: Monotonic seconds.
        deferred_routes: Families whose routes are not told on yet.
        deferred_end_of_rib: Families whose End-of-RIB was not sent yet.
        deferred_sweep: Families whose kernel routes were not swept yet.
        awaited: Who was waited for at the last look, by place among the peers.
    """

    def __init__(
        self,
        families: Iterable[Family],
        started: float,
        limits: DeferralLimits,
        window: float = WINDOW,
    ) -> None:
        self.started = started
        self.deferred_routes = set(families)
        self.deferred_end_of_rib = set(self.deferred_routes)
        self.deferred_sweep = set(self.deferred_routes)
        self.awaited: list[int] = []
        self.limits = limits
        self._window = window
        self._resumed = -inf
        self._alone_until: dict[Family, float] = {}

    def resume(self, lost: float, now: float) -> None:
        """Leave out a stall of ``lost`` seconds: we received nothing meanwhile."""
        self.started += lost
        self._resumed = now
        for family in self._alone_until:
            self._alone_until[family] += lost

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.deferred_end_of_rib or self.deferred_sweep)

    def look(
        self,
        peers: Collection[PeerSight],
        now: float,
        *,
        has_unknown_peers: bool = False,
    ) -> list[tuple[Family, Step]]:
        """Return the steps that are due, each of them once, in order.

        Args:
            peers: All there are.
            now: Monotonic seconds.
            has_unknown_peers: Peers may have been up that are not among these.
        """
        due: list[tuple[Family, Step]] = []
        awaited: set[int] = set()
        elapsed, limits = now - self.started, self.limits
        for family in sorted(self.deferred_end_of_rib | self.deferred_sweep):
            statuses = [peer.status(family, now, self._resumed) for peer in peers]
            may, waits = self._evaluate(
                family, peers, statuses, now, has_unknown_peers=has_unknown_peers
            )
            if elapsed < limits.alone and _are_all_away(statuses):
                self._alone_until[family] = now
            swept = now - self._alone_until.get(family, self.started)
            if family in self.deferred_end_of_rib:
                awaited.update(i for i, s in enumerate(statuses) if s in waits)
            for step, left, waited, cap in (
                (Step.TELL, self.deferred_routes, elapsed, limits.tell),
                (Step.END, self.deferred_end_of_rib, elapsed, limits.end),
                (Step.SWEEP, self.deferred_sweep, swept, limits.sweep),
            ):
                if family in left and (step in may or waited >= cap):
                    left.discard(family)
                    due.append((family, step))
        self.awaited = sorted(awaited)
        return due

    def _evaluate(
        self,
        family: Family,
        peers: Collection[PeerSight],
        statuses: list[PeerStatus],
        now: float,
        *,
        has_unknown_peers: bool,
    ) -> tuple[AbstractSet[Step], AbstractSet[PeerStatus]]:
        """Return which steps may be taken, and who End-of-RIB waits for."""
        count = statuses.count  # a Counter asks each for its hash, in Python
        keeping = count(PeerStatus.KEEPING)
        missing = count(PeerStatus.AWAY) + keeping
        back = len(statuses) - missing - count(PeerStatus.NONE)
        ups = [peer for peer in peers if peer.negotiated is not None]
        if back:
            ups = [up for up in ups if family in up.negotiated.families]  # type: ignore[union-attr]
        latest = max((up.up_since for up in ups), default=self.started)
        is_quiet = now - max(latest, self._resumed) >= self._window
        if back:
            is_settled = is_quiet or not (missing or has_unknown_peers)
        elif missing:
            is_settled = False
        elif has_unknown_peers:  # they have come, and none of them has the family
            is_settled = is_quiet and bool(ups)
        else:  # no peer has the family, once the configuration is loaded
            is_settled = now - self.started >= SILENCE
        waits = {PeerStatus.SENDING, PeerStatus.KEEPING}
        if not is_settled:
            waits.add(PeerStatus.AWAY)
        may = set()
        if is_settled and not count(PeerStatus.SENDING):
            may.add(Step.TELL)
            if not keeping:
                may.add(Step.END)
                if not count(PeerStatus.RESTARTING):
                    may.add(Step.SWEEP)
        return may, waits

    def progress(self, now: float) -> Progress | None:
        """Return how far it is; ``None`` once End-of-RIB is sent in every family."""
        if not self.deferred_end_of_rib:
            return None
        return Progress(len(self.awaited), now - self.started, self.limits.end)


def _are_all_away(statuses: Collection[PeerStatus]) -> bool:
    """Return whether peers have a family, and all of them are away."""
    found = set(statuses) - {PeerStatus.NONE}
    return bool(found) and found <= {PeerStatus.AWAY, PeerStatus.KEEPING}
