"""Routes that outlived their session: how long they stay (RFC 4724 4.2, RFC 9494 4.2).

    session lost ---restart time---> long-lived stale ---stale time---> swept
                                     (depreferred, told only to peers that know LLGR)
    session lost, no LLGR agreed ----restart time---------------------> swept
    peer is back ---End-of-RIB, or a bound from then on---------------> swept

A peer that is back without having preserved its forwarding state loses them at once: in the
first phase its graceful restart capability tells, in the second the long-lived one.

What a session told that is lost before its End-of-RIB goes through both phases for itself.
What was stale before stays with it (RFC 8538 4.1), but within the times that began with the
first loss: the first phase is bounded by the restart time and the bound, and the long-lived
stale time, once it runs, is not set anew before an End-of-RIB (RFC 9494 4.2).

Timers and which family is where; the routes themselves are the caller's.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final

from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import PeerSettings
from rib.family import Family

_CLOCK_TICK: Final = 0.002  # seconds; uvloop's clock counts milliseconds


class _Wait:
    """What one family waits for; moments are seconds of the loop.

    Attributes:
        since: Of the oldest loss whose routes are not long-lived stale; ``None`` for none.
        until: End of the first phase, or of the peer's time to tell its routes again.
        stale_time: Seconds of the second phase, for what is in the first; 0 for none.
        long_until: End of the second phase; infinite where nothing is in it.
        mark: What tells the routes that are in the second phase.
        is_back: The peer is back, and has not told End-of-RIB yet.
    """

    __slots__ = ("is_back", "long_until", "mark", "since", "stale_time", "until")

    def __init__(self) -> None:
        self.since: float | None = None
        self.until = inf
        self.stale_time = 0
        self.long_until = inf
        self.mark = 0
        self.is_back = False


class StaleRoutes:
    """One peer's stale families.

    Args:
        loop: For timers.
        sweep: Removes a family's stale routes: all, or those that ``mark`` tells.
        make_long_lived: Marks a family's stale routes with LLGR_STALE, and returns what
            tells them from those that become stale later.
        bound: Seconds that they stay beyond the peer's restart time, at most
            (RFC 4724 4.2).
        look: Sees to a standstill of the process before a timer is judged.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sweep: Callable[[Family, int | None], None],
        make_long_lived: Callable[[Family], int],
        bound: float,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._sweep = sweep
        self._make_long_lived = make_long_lived
        self._bound = bound
        self._look = look
        self._waits: dict[Family, _Wait] = {}
        self._timers: dict[Family, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, family: Family) -> bool:
        return family in self._waits

    def left(self, family: Family) -> tuple[str, float] | None:
        """Return a family's phase and the seconds that it lasts; ``None`` without one."""
        wait = self._waits.get(family)
        if wait is None:
            return None
        phase = "graceful" if wait.since is not None else "long-lived"
        until = min(wait.until, wait.long_until)
        return "returned" if wait.is_back else phase, until - self._loop.time()

    def keep(
        self,
        family: Family,
        negotiated: Negotiated,
        settings: PeerSettings,
    ) -> int:
        """Keep a lost session's routes for as long as was agreed; return the seconds.

        Args:
            family: Whose.
            negotiated: Of the session.
            settings: With caps for what the peer gave.
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
        now = self._loop.time()
        wait = self._waits.setdefault(family, _Wait())
        if wait.since is None:
            wait.since = now
        wait.is_back = False
        wait.stale_time = stale_time
        wait.until = min(now + restart_time, self._last(wait, restart_time))
        self._arm(family)
        end = wait.until
        if stale_time:
            end = max(end, min(wait.long_until, end + stale_time))
        return round(end - now)

    def _last(self, wait: _Wait, restart_time: float) -> float:
        """Return when the first phase is over, however often the peer comes and goes."""
        now = self._loop.time()
        since = now if wait.since is None else wait.since
        return max(now, since + restart_time + self._bound)

    def came_back(self, negotiated: Negotiated) -> None:
        """The peer is back: what it did not preserve goes, the rest waits.

        Args:
            negotiated: Of the new session.
        """
        graceful = negotiated.graceful_restart
        restart_time = graceful.restart_time if graceful is not None else 0
        first = {} if graceful is None else dict(graceful.families)
        second = {row.family: row.is_preserved for row in negotiated.long_lived}
        for family, wait in tuple(self._waits.items()):
            is_kept_long = second.get(family, False)
            is_kept = first.get(family, is_kept_long)
            if (wait.since is None and not is_kept_long) or (
                wait.since is not None and not is_kept
            ):
                self.drop(family)
            else:
                if not is_kept_long:
                    self._end_long_life(family, wait)
                now = self._loop.time()
                wait.is_back = True
                wait.until = min(now + self._bound, self._last(wait, restart_time))
                self._arm(family)

    def let_go(self) -> None:
        """Wait for nothing any more, and refer to nobody: the peer is removed."""
        for family in tuple(self._waits):
            self.forget(family)
        self._sweep, self._make_long_lived = _sweep_nobody, _mark_nobody

    def drop(self, family: Family) -> None:
        """Sweep a family now, if it waits."""
        if self.forget(family):
            self._sweep(family, None)

    def forget(self, family: Family) -> bool:
        """Stop waiting for a family; false if nobody did."""
        timer = self._timers.pop(family, None)
        if timer is not None:
            timer.cancel()
        return self._waits.pop(family, None) is not None

    def _arm(self, family: Family) -> None:
        timer = self._timers.pop(family, None)
        if timer is not None:
            timer.cancel()
        wait = self._waits[family]
        seconds = min(wait.until, wait.long_until) - self._loop.time()
        self._timers[family] = self._loop.call_later(seconds, self._end, family)

    def _end(self, family: Family) -> None:
        """Do what is due, unless a standstill that nobody has seen yet put it off."""
        self._look()
        wait, due = self._waits[family], self._loop.time() + _CLOCK_TICK
        if wait.long_until <= due:
            if wait.since is None:
                self.drop(family)
                return
            self._end_long_life(family, wait)
        if wait.until <= due:
            if wait.is_back or not wait.stale_time:
                self.drop(family)
                return
            self._begin_long_life(family, wait)
        self._arm(family)

    def _begin_long_life(self, family: Family, wait: _Wait) -> None:
        wait.mark = self._make_long_lived(family)
        wait.since, wait.until = None, inf
        if wait.long_until == inf:
            wait.long_until = self._loop.time() + wait.stale_time

    def _end_long_life(self, family: Family, wait: _Wait) -> None:
        """Sweep what is in the second phase, and leave what is in the first."""
        if wait.long_until != inf:
            wait.long_until = inf
            self._sweep(family, wait.mark)

    def resume(self, lost: float) -> None:
        """Leave a standstill of ``lost`` seconds out: nobody could come back meanwhile."""
        for wait in self._waits.values():
            wait.until += lost
            wait.long_until += lost
            if wait.since is not None:
                wait.since += lost


def _sweep_nobody(_family: Family, _mark: int | None) -> None:
    """What outlives a peer that is gone concerns nobody."""


def _mark_nobody(_family: Family) -> int:
    return 0
