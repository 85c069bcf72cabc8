"""The GR helper: whose routes stay when a session ends, and for how long. Pure.

What the RFC calls the Receiving Speaker (RFC 4724 4.2, RFC 8538 4, RFC 9494 4.2): the peer
restarts, and this side keeps its routes. The other side is in ``gr_restarting_speaker``.
"""

from collections.abc import Iterator
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from bgpd.session.events import DownKind, DownReason
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import PeerSettings
from bgpd.wire.errors import CeaseSubcode, ErrorCode
from rib.family import Family

# Theory
# ------
# First question: do the routes stay at all? It depends on how the session ended:
#
#       how it ended                                N flag of both    routes
#       ------------------------------------------  ----------------  ------
#       connection lost, or replaced by a new one   no matter         stay
#       NOTIFICATION received or sent, hold timer   no                go
#       the same                                    yes               stay
#       hard reset received or sent                 no matter         go
#       stopped here to shut down or deconfigure    no matter         go
#
# "Stay" means: those of the families that the peer listed in its capability. A family of the
# long-lived capability stays too, even with a restart time of 0.
#
# Second question: until when? Each family has two phases:
#
#       lost ---restart time---> long-lived stale ---stale time---> swept
#        |                       (less preferred, advertised
#        |                        only to peers that know LLGR)
#        +--no LLGR agreed: restart time--------------------------> swept
#        +--peer is back: End-of-RIB, or the bound from then on---> swept
#
# A peer that returns without having preserved its forwarding state loses them at once: in
# the first phase its graceful restart capability says so, in the second the long-lived one.
#
# The hard case is a peer that comes and goes. What it advertised in a session that ends
# before its End-of-RIB is newer than what was stale already, so a family may have routes in
# both phases at the same time: those of the last session in the first, older ones in the
# second. The newer ones go through both phases for themselves; the older ones stay with them
# (RFC 8538 4.1). Neither may last for ever, so these hold for every order of loss and return:
#
# * The first phase ends `restart time + bound` after the first loss at the latest.
# * The long-lived stale time, once it runs, does not start again before an End-of-RIB
#   (RFC 9494 4.2).
# * Only an End-of-RIB, or the end of everything stale, begins a new account.
#
# tests/unit/bgpd/session/test_gr_helper_phases.py compares this with a model that gives each
# route a clock of its own, second by second.
#
# `mark` tells the two kinds of routes apart. It is the epoch of the peer's source when the
# first phase ended: what is older is in the second phase (`rib.adj_rib_in`).
#
# Deliberately not here: the routes, and the timer. Moments come in as `now`, work goes out as
# `StaleWork`, and `next_deadline` says when to call again (`bgpd.pipeline.stale_routes`).

_CLOCK_TICK: Final = 0.002  # seconds; uvloop's clock counts milliseconds

_SILENT: Final = (DownKind.CONNECTION_LOST, DownKind.REPLACED)
_FINAL: Final = (
    CeaseSubcode.ADMINISTRATIVE_SHUTDOWN,
    CeaseSubcode.PEER_DECONFIGURED,
)


def kept_families(negotiated: Negotiated, reason: DownReason) -> frozenset[Family]:
    """Return the families whose routes stay as stale after ``reason``."""
    graceful = negotiated.graceful_restart
    if graceful is None or not _is_graceful(negotiated, reason):
        return frozenset()
    kept = {family for family, _ in graceful.families}
    kept.update(row.family for row in negotiated.long_lived if row.stale_time)
    return frozenset(kept)


def kept_of_ours(negotiated: Negotiated) -> frozenset[Family]:
    """Return the families whose routes the peer keeps while we restart.

    It does so where both sent the capability, and ours says that the forwarding state was
    preserved; one that lists no families only helps others (RFC 4724 4.2).
    """
    mine = negotiated.local.graceful_restart
    if negotiated.graceful_restart is None or mine is None:
        return frozenset()
    kept = (family for family, is_preserved in mine.families if is_preserved)
    return negotiated.families & frozenset(kept)


def kept_when_lost(negotiated: Negotiated) -> frozenset[Family]:
    """Return the families whose routes the peer keeps when the connection is lost.

    Our capability has to list them. The OPEN after the loss says whether forwarding was
    preserved.
    """
    mine = negotiated.local.graceful_restart
    if negotiated.graceful_restart is None or mine is None:
        return frozenset()
    return negotiated.families & {family for family, _ in mine.families}


def are_ours_kept(negotiated: Negotiated) -> bool:
    """Return whether the peer keeps our routes when the connection is lost."""
    return bool(kept_when_lost(negotiated))


def _is_graceful(negotiated: Negotiated, reason: DownReason) -> bool:
    if reason.kind in _SILENT:
        return True
    if not negotiated.has_notification_restart:
        return False
    notification = reason.notification
    if notification is None:
        return True
    is_final = (
        reason.kind is DownKind.ADMIN_STOP
        and notification.code == ErrorCode.CEASE
        and notification.subcode in _FINAL
    )
    return not notification.is_hard_reset and not is_final


class StaleAction(Enum):
    """What is due with a family's stale routes."""

    SWEEP = "remove them"
    MARK = "mark them with LLGR_STALE, so that they are less preferred"


class StaleWork(NamedTuple):
    """Something to do.

    Attributes:
        family: Whose stale routes.
        action: What to do with them.
        before: Only routes of before this epoch; ``None`` for all that are stale.
    """

    family: Family
    action: StaleAction
    before: int | None = None


class Phase(Enum):
    """The phase of a family; people see the values."""

    GRACEFUL = "graceful"
    LONG_LIVED = "long-lived"
    RETURNED = "returned"


class _Wait:
    """What one family waits for; moments are monotonic seconds.

    Attributes:
        since: Of the oldest loss whose routes are not long-lived stale; ``None`` for none.
        until: End of the first phase, or of the peer's time to advertise its routes again.
        epoch: Of the source since the last loss: what is older is stale.
        stale_time: Seconds of the second phase, for what is in the first; 0 for none.
        long_until: End of the second phase; infinite where nothing is in it.
        mark: Routes of before this epoch are in the second phase.
        is_back: The peer is back, and its End-of-RIB has not arrived yet.
    """

    __slots__ = (
        "epoch",
        "is_back",
        "long_until",
        "mark",
        "since",
        "stale_time",
        "until",
    )

    def __init__(self) -> None:
        self.since: float | None = None
        self.until = inf
        self.epoch = 0
        self.stale_time = 0
        self.long_until = inf
        self.mark = 0
        self.is_back = False

    @property
    def deadline(self) -> float:
        """When something is due."""
        return min(self.until, self.long_until)

    def latest(self, restart_time: float, bound: float, now: float) -> float:
        """Return when the first phase is over, however often the peer comes and goes."""
        since = now if self.since is None else self.since
        return max(now, since + restart_time + bound)


class GrHelper:
    """The stale families of one peer.

    Args:
        bound: Seconds that routes stay beyond the peer's restart time, at most
            (RFC 4724 4.2).
    """

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._waits: dict[Family, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, family: Family) -> bool:
        return family in self._waits

    def __iter__(self) -> Iterator[Family]:
        return iter(tuple(self._waits))

    def phase(self, family: Family, now: float) -> tuple[Phase, float] | None:
        """Return a family's phase and the seconds that are left; ``None`` without one."""
        wait = self._waits.get(family)
        if wait is None:
            return None
        phase = Phase.GRACEFUL if wait.since is not None else Phase.LONG_LIVED
        return Phase.RETURNED if wait.is_back else phase, wait.deadline - now

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds."""
        return min((wait.deadline for wait in self._waits.values()), default=None)

    def lose(
        self,
        family: Family,
        negotiated: Negotiated,
        settings: PeerSettings,
        epoch: int,
        now: float,
    ) -> int:
        """Keep a lost session's routes for the negotiated time; return the seconds.

        Args:
            family: Whose.
            negotiated: Of the session.
            settings: With caps for what the peer gave.
            epoch: Of the peer's source, now that its routes are stale.
            now: Monotonic seconds.
        """
        graceful = negotiated.graceful_restart
        restart_time = graceful.restart_time if graceful is not None else 0
        stale_time = next(
            (row.stale_time for row in negotiated.long_lived if row.family == family),
            0,
        )
        cap = settings.max_graceful_restart_time
        restart_time = min(restart_time, cap or restart_time)
        cap = settings.max_long_lived_stale_time
        stale_time = min(stale_time, cap or stale_time)
        wait = self._waits.setdefault(family, _Wait())
        if wait.since is None:
            wait.since = now
        wait.is_back = False
        wait.epoch = epoch
        wait.stale_time = stale_time
        latest = wait.latest(restart_time, self._bound, now)
        wait.until = min(now + restart_time, latest)
        end = wait.until
        if stale_time:
            end = max(end, min(wait.long_until, end + stale_time))
        return round(end - now)

    def come_back(self, negotiated: Negotiated, now: float) -> list[StaleWork]:
        """Return what a returning peer did not preserve; the rest waits.

        Args:
            negotiated: Of the new session.
            now: Monotonic seconds.
        """
        graceful = negotiated.graceful_restart
        restart_time = graceful.restart_time if graceful is not None else 0
        first = {} if graceful is None else dict(graceful.families)
        second = {row.family: row.is_preserved for row in negotiated.long_lived}
        work: list[StaleWork] = []
        for family, wait in tuple(self._waits.items()):
            is_kept_long = second.get(family, False)
            is_kept = first.get(family, is_kept_long)
            if not (is_kept_long if wait.since is None else is_kept):
                work += self.drop(family)
                continue
            if not is_kept_long:
                work += _end_long_life(family, wait)
            wait.is_back = True
            latest = wait.latest(restart_time, self._bound, now)
            wait.until = min(now + self._bound, latest)
        return work

    def drop(self, family: Family) -> list[StaleWork]:
        """Return the removal of a family's stale routes, if it has some."""
        swept = [StaleWork(family, StaleAction.SWEEP)]
        return swept if self.forget(family) else []

    def forget(self, family: Family) -> bool:
        """Stop waiting for a family; return false if none was awaited."""
        return self._waits.pop(family, None) is not None

    def handle_timer(self, now: float) -> list[StaleWork]:
        """Return what is due by now, in order."""
        work: list[StaleWork] = []
        due = now + _CLOCK_TICK
        for family, wait in tuple(self._waits.items()):
            if wait.long_until <= due:
                if wait.since is None:
                    work += self.drop(family)
                    continue
                work += _end_long_life(family, wait)
            if wait.until <= due:
                if wait.is_back or not wait.stale_time:
                    work += self.drop(family)
                    continue
                work.append(_begin_long_life(family, wait, now))
        return work

    def resume(self, lost: float) -> None:
        """Leave out a stall of ``lost`` seconds: no peer could come back meanwhile."""
        for wait in self._waits.values():
            wait.until += lost
            wait.long_until += lost
            if wait.since is not None:
                wait.since += lost


def _begin_long_life(family: Family, wait: _Wait, now: float) -> StaleWork:
    wait.mark = wait.epoch
    wait.since, wait.until = None, inf
    if wait.long_until == inf:
        wait.long_until = now + wait.stale_time
    return StaleWork(family, StaleAction.MARK, wait.mark)


def _end_long_life(family: Family, wait: _Wait) -> list[StaleWork]:
    """End the second phase and return the removals; the first goes on."""
    if wait.long_until == inf:
        return []
    wait.long_until = inf
    return [StaleWork(family, StaleAction.SWEEP, wait.mark)]
