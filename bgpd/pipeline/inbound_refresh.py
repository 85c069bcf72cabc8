"""Route refreshes that a peer has begun and must end (RFC 7313 4).

    begin: all its routes are stale --re-advertised------> end: what is stale yet is swept
    begin again: all are stale once more, and one end is enough
    no end: what is stale since the first begin is swept after a bound, and what became
    stale by a later one when its own time has come

Timers alone; the routes themselves are the caller's.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bgpd.session.negotiation import Negotiated
from bgpd.wire.route_refresh import (
    RefreshSubtype,
    RouteRefresh,
    encode_route_refresh,
)
from rib.family import Family


@dataclass(slots=True)
class _Refresh:
    """The refresh of one family.

    Attributes:
        epoch: Routes of before it are due when the timer ends.
        latest: Routes of before it are stale.
        began: When ``latest`` began, seconds of the loop.
        timer: Ends the wait for ``epoch``.
        lost: Seconds that the process stood still since the timer was set.
    """

    epoch: int
    latest: int
    began: float
    timer: asyncio.TimerHandle
    lost: float = 0.0


class InboundRefreshes:
    """One peer's refreshes under way.

    Args:
        loop: For timers.
        sweep: Removes a family's routes of before an epoch.
        bound: Seconds that a peer may take from begin to end.
        look: Sees to a standstill of the process before a timer is judged.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sweep: Callable[[Family, int], None],
        bound: float,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._look = look
        self._loop = loop
        self._sweep = sweep
        self._bound = bound
        self._under_way: dict[Family, _Refresh] = {}

    def __contains__(self, family: Family) -> bool:
        return family in self._under_way

    def begin(self, family: Family, epoch: int) -> None:
        """Wait for the end of a refresh.

        Args:
            family: Of the routes.
            epoch: Routes of before it are stale.
        """
        now = self._loop.time()
        under_way = self._under_way.get(family)
        if under_way is None:
            self._wait(family, epoch, now)
        else:
            under_way.latest, under_way.began = epoch, now

    def _wait(self, family: Family, epoch: int, began: float) -> None:
        timer = self._loop.call_at(began + self._bound, self._overdue, family)
        self._under_way[family] = _Refresh(epoch, epoch, began, timer)

    def resume(self, lost: float) -> None:
        """Leave out a stall of ``lost`` seconds: the end may wait in the socket."""
        for refresh in self._under_way.values():
            refresh.began += lost
            refresh.lost += lost

    def _overdue(self, family: Family) -> None:
        self._look()
        refresh = self._under_way[family]
        if refresh.lost:
            until = refresh.timer.when() + refresh.lost
            refresh.timer = self._loop.call_at(until, self._overdue, family)
            refresh.lost = 0.0
            return
        del self._under_way[family]
        if refresh.latest != refresh.epoch:
            self._wait(family, refresh.latest, refresh.began)
        self._sweep(family, refresh.epoch)

    def end(self, family: Family) -> bool:
        """Stop waiting; return false if no refresh was under way."""
        refresh = self._under_way.pop(family, None)
        if refresh is None:
            return False
        refresh.timer.cancel()
        return True

    def close(self) -> None:
        """Stop all waits: the session is over."""
        for family in tuple(self._under_way):
            self.end(family)

    def let_go(self) -> None:
        """Stop all timers and drop all references: the peer is removed."""
        self.close()
        self._sweep = _nobody
        self._look = _unseen


def _unseen() -> None:
    """Ignore the end: the peer is gone."""


def _nobody(_family: Family, _epoch: int) -> None:
    """Ignore what is overdue: the peer is gone."""


def marks_of(family: Family, negotiated: Negotiated | None) -> tuple[bytes, bytes]:
    """Return the markers around a refresh; empty unless RFC 7313 is negotiated."""
    if negotiated is None or not negotiated.has_enhanced_refresh:
        return b"", b""
    begin, end = (
        encode_route_refresh(RouteRefresh(family, subtype))
        for subtype in (RefreshSubtype.BEGIN, RefreshSubtype.END)
    )
    return begin, end
