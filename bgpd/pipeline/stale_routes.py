"""The timer and the work of a peer's stale routes; ``bgpd.session.gr_helper`` decides.

One timer for all families of a peer: it is set to what the helper waits for, and each call
carries out what the helper returns.
"""

import asyncio
from collections.abc import Callable, Iterable

from bgpd.runtime.fault_isolation import each
from bgpd.session.gr_helper import GrHelper, Phase, StaleAction, StaleWork
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import PeerSettings
from rib.family import Family


class StaleRoutes:
    """One peer's stale families.

    Args:
        loop: For the timer.
        sweep: Removes a family's stale routes: all, or those of before an epoch.
        make_long_lived: Marks a family's stale routes with LLGR_STALE.
        bound: Seconds that routes stay beyond the peer's restart time, at most
            (RFC 4724 4.2).
        look: Sees to a standstill of the process before the time is judged.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sweep: Callable[[Family, int | None], None],
        make_long_lived: Callable[[Family], None],
        bound: float,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._loop = loop
        self._sweep = sweep
        self._make_long_lived = make_long_lived
        self._look = look
        self._helper = GrHelper(bound)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._helper)

    def __contains__(self, family: Family) -> bool:
        return family in self._helper

    def phase(self, family: Family) -> tuple[Phase, float] | None:
        """Return a family's phase and the seconds that are left; ``None`` without one."""
        return self._helper.phase(family, self._loop.time())

    def keep(
        self,
        family: Family,
        negotiated: Negotiated,
        settings: PeerSettings,
        epoch: int,
    ) -> int:
        """Keep a lost session's routes for the negotiated time; return the seconds.

        Args:
            family: Whose.
            negotiated: Of the session.
            settings: With caps for what the peer gave.
            epoch: Of the peer's source, now that its routes are stale.
        """
        now = self._loop.time()
        seconds = self._helper.lose(family, negotiated, settings, epoch, now)
        self._arm()
        return seconds

    def came_back(self, negotiated: Negotiated) -> None:
        """Remove what a returning peer did not preserve; the rest waits.

        Args:
            negotiated: Of the new session.
        """
        self._carry_out(self._helper.come_back(negotiated, self._loop.time()))

    def let_go(self) -> None:
        """Stop all timers and drop all references: the peer is removed."""
        for family in self._helper:
            self._helper.forget(family)
        self._arm()
        self._sweep, self._make_long_lived = _sweep_nothing, _mark_nothing

    def drop(self, family: Family) -> None:
        """Sweep a family now, if it waits."""
        self._carry_out(self._helper.drop(family))

    def forget(self, family: Family) -> None:
        """Stop waiting for a family; its stale routes are the caller's."""
        self._helper.forget(family)
        self._arm()

    def resume(self, lost: float) -> None:
        """Leave out a stall of ``lost`` seconds: no peer could come back meanwhile."""
        self._helper.resume(lost)

    def _due(self) -> None:
        """Do what is due, unless a stall that was just noticed puts it off."""
        self._timer = None
        self._look()
        self._carry_out(self._helper.handle_timer(self._loop.time()))

    def _carry_out(self, work: Iterable[StaleWork]) -> None:
        self._arm()  # first: what is swept may be the last thing that holds the peer
        each(self._do, work, "family of stale routes")

    def _do(self, work: StaleWork) -> None:
        match work.action:
            case StaleAction.SWEEP:
                self._sweep(work.family, work.before)
            case StaleAction.MARK:
                self._make_long_lived(work.family)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._helper.next_deadline()
        if deadline is not None:
            seconds = deadline - self._loop.time()
            self._timer = self._loop.call_later(seconds, self._due)


def _sweep_nothing(_family: Family, _before: int | None) -> None:
    """Do nothing: the peer is gone, and its routes with it."""


def _mark_nothing(_family: Family) -> None:
    """Do nothing, for the same reason."""
