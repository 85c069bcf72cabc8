"""Routes that outlived their session: how long they stay (RFC 4724 4.2, RFC 9494 4.2).

    session lost ---restart time---> long-lived stale ---stale time---> swept
                                     (depreferred, told only to peers that know LLGR)
    session lost, no LLGR agreed ------restart time-------------------> swept
    peer is back: stale until its End-of-RIB or a bound, if it preserved its forwarding;
    else swept at once
    lost again before that: what was stale stays (RFC 8538 4.1), but no longer than the
    restart time and the bound, counted from the first loss

Timers and which family is where; the routes themselves are the caller's.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from bgpd.session.negotiation import Negotiated
from rib.family import Family

_Arguments = tuple[object, ...]
_CLOCK_TICK: Final = 0.002  # seconds; uvloop's clock counts milliseconds


class StaleRoutes:
    """One peer's stale families.

    Args:
        loop: For timers.
        sweep: Removes a family's stale routes.
        make_long_lived: Marks a family's stale routes with LLGR_STALE.
        bound: Seconds that they stay beyond the peer's restart time, at most
            (RFC 4724 4.2).
        look: Sees to a standstill of the process before a timer is judged.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sweep: Callable[[Family], None],
        make_long_lived: Callable[[Family], None],
        bound: float,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._sweep = sweep
        self._make_long_lived = make_long_lived
        self._bound = bound
        self._look = look
        self._timers: dict[Family, asyncio.TimerHandle] = {}
        self._ends: dict[Family, tuple[float, Callable[..., None], _Arguments]] = {}
        self._since: dict[Family, float] = {}  # of the oldest that is still stale

    def __len__(self) -> int:
        return len(self._timers)

    def __contains__(self, family: Family) -> bool:
        return family in self._timers

    def keep(self, family: Family, negotiated: Negotiated) -> int:
        """Keep a lost session's routes for as long as was agreed; return the seconds."""
        graceful = negotiated.graceful_restart
        restart_time = graceful.restart_time if graceful is not None else 0
        self._since.setdefault(family, self._loop.time())
        stale_time = next(
            (row.stale_time for row in negotiated.long_lived if row.family == family),
            0,
        )
        if stale_time:
            self._set(family, restart_time, self._begin_long_life, family, stale_time)
        else:
            restart_time = round(min(restart_time, self._left(family, restart_time)))
            self._set(family, restart_time, self.drop, family)
        return restart_time + stale_time

    def _begin_long_life(self, family: Family, stale_time: int) -> None:
        self._make_long_lived(family)
        self._set(family, stale_time, self.drop, family)

    def _left(self, family: Family, restart_time: float) -> float:
        until = self._since[family] + restart_time + self._bound
        return max(0.0, until - self._loop.time())

    def came_back(self, negotiated: Negotiated) -> None:
        """The peer is back: what it did not preserve goes, the rest waits.

        Args:
            negotiated: Of the new session.
        """
        preserved = _preserved(negotiated)
        graceful = negotiated.graceful_restart
        restart_time = graceful.restart_time if graceful is not None else 0
        for family in list(self._timers):
            if family in preserved:
                seconds = min(self._bound, self._left(family, restart_time))
                self._set(family, seconds, self.drop, family)
            else:
                self.drop(family)

    def let_go(self) -> None:
        """Wait for nothing any more, and refer to nobody: the peer is removed."""
        for family in tuple(self._timers):
            self.forget(family)
        self._sweep = self._make_long_lived = _nobody

    def drop(self, family: Family) -> None:
        """Sweep a family now, if it waits."""
        if self.forget(family):
            self._sweep(family)

    def forget(self, family: Family) -> bool:
        """Stop waiting for a family; false if nobody did."""
        self._since.pop(family, None)
        return self._stop_timer(family)

    def _stop_timer(self, family: Family) -> bool:
        timer = self._timers.pop(family, None)
        if timer is None:
            return False
        timer.cancel()
        del self._ends[family]
        return True

    def _set(
        self, family: Family, seconds: float, act: Callable[..., None], *args: object
    ) -> None:
        self._stop_timer(family)
        self._ends[family] = self._loop.time() + seconds, act, args
        self._timers[family] = self._loop.call_later(seconds, self._end, family)

    def _end(self, family: Family) -> None:
        """Do what is due, unless a standstill that nobody has seen yet put it off."""
        self._look()
        until, act, args = self._ends[family]
        left = until - self._loop.time()
        if left > _CLOCK_TICK:
            self._timers[family] = self._loop.call_later(left, self._end, family)
        else:
            act(*args)

    def resume(self, lost: float) -> None:
        """Leave a standstill of ``lost`` seconds out: nobody could come back meanwhile."""
        for family, (until, act, args) in self._ends.items():
            self._ends[family] = until + lost, act, args
            self._since[family] += lost


def _nobody(_family: Family) -> None:
    """What outlives a peer that is gone concerns nobody."""


def _preserved(negotiated: Negotiated) -> Collection[Family]:
    graceful = negotiated.graceful_restart
    if graceful is None:
        return ()
    preserved = {family for family, is_kept in graceful.families if is_kept}
    preserved.update(row.family for row in negotiated.long_lived if row.is_preserved)
    return preserved
