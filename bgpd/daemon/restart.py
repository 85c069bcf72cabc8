"""Our own restart: what peers and the kernel hold of us is left alone for a while.

``bgpd.session.recovery`` says when it is over, family by family; here it is carried out.
Until then (RFC 4724 4.1):

* peers that keep our routes are told of our own ones only, and no End-of-RIB. They drop
  what was not told again at our End-of-RIB, so that a reflector that has heard half its
  clients would take good routes from the other half, or replace them by worse ones;
* routes that were found in the kernel are neither replaced nor removed.

Peers that keep nothing are told what there is at once: some is better for them than none.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from time import monotonic
from typing import Final

from bgpd.daemon.peer import Peer
from bgpd.daemon.speaker import FAMILIES, Speaker
from bgpd.net.pulse import Standstill
from bgpd.session.negotiation import RestartState
from bgpd.session.recovery import WINDOW, Caps, PeerSight, Recovery, Step
from bgpd.session.settings import PeerSettings
from rib.family import Family

LOOK: Final = 0.5  # seconds between looks
NUDGE: Final = 0.02  # seconds until the look that End-of-RIBs ask for together
NUDGE_FACTOR: Final = 20  # and at least so many times what the last look took
SLICE = 1000  # peers looked at in one turn; not Final: tests change it

_log = logging.getLogger(__name__)


class Deferral:
    """Carries out a speaker's recovery, beginning now.

    Args:
        speaker: Whose.
        caps: When it is over in any case; without time to tell, nothing was restarted.
        sweep: Lets the kernel follow a family, and removes what is stale in it.
        preserved: Families whose forwarding survived.
        window: See ``bgpd.session.recovery``.
    """

    def __init__(
        self,
        speaker: Speaker,
        caps: Caps,
        *,
        sweep: Callable[[Family], None] | None = None,
        preserved: frozenset[Family] = frozenset(FAMILIES),
        window: float = WINDOW,
    ) -> None:
        self._speaker = speaker
        self._sweep = sweep
        self._recovery = Recovery(FAMILIES, speaker.loop.time(), caps, window)
        self._timer: asyncio.TimerHandle | None = None
        self._is_nudged = False
        self._is_gathering = False
        self._took = 0.0  # seconds, the last look
        self._is_restart = caps.tell > 0
        if self._is_restart:
            for tables in speaker.tables.values():
                tables.defer()
        recovering = frozenset(FAMILIES if self._is_restart else ())
        speaker.set_restart(RestartState(recovering, preserved))
        speaker.end_of_rib_listeners.append(self._end_of_rib)
        speaker.resume_listeners.append(self._resumed)
        self._look()

    @property
    def progress(self) -> tuple[int, float, float] | None:
        """Who is waited for, for how long now and at most; ``None`` once it is over.

        Returns:
            Number of peers, seconds since the start, seconds of the cap.
        """
        return self._recovery.progress(self._speaker.loop.time())

    def close(self) -> None:
        """Look no more; what is withheld stays so."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.close()
        self._is_nudged = False
        self._took = 0.0
        self._gather([], iter([*self._speaker.peers.values()]))

    def _gather(self, sights: list[PeerSight], rest: Iterator[Peer]) -> None:
        """Look at peers, some thousands over several turns of the loop, then judge."""
        started = monotonic()
        some = [*islice(rest, SLICE)]
        sights += _sights(some)
        self._is_gathering = len(some) == SLICE
        if not self._is_gathering:
            self._take_steps(sights)
        self._took += monotonic() - started
        if self._is_gathering:
            self._timer = self._speaker.loop.call_later(0, self._gather, sights, rest)
        elif not self._recovery.is_over:
            self._wait(self._nudge if self._is_nudged else LOOK)

    @property
    def _nudge(self) -> float:
        return max(NUDGE, NUDGE_FACTOR * self._took)

    def _resumed(self, standstill: Standstill) -> None:
        self._recovery.resume(standstill.lost, standstill.now)

    def _wait(self, seconds: float) -> None:
        self.close()
        self._timer = self._speaker.loop.call_later(seconds, self._look)

    def _end_of_rib(self, _peer: Peer, _family: Family) -> None:
        if self._timer is not None and not self._is_nudged:
            self._is_nudged = True
            if not self._is_gathering:
                self._wait(self._nudge)

    def _take_steps(self, sights: list[PeerSight]) -> None:
        speaker = self._speaker
        now = speaker.poller.pulse.look()
        steps = self._recovery.look(sights, now, has_ranges=bool(speaker.ranges))
        for family, step in steps:
            if step is Step.SWEEP:
                if self._sweep is not None:
                    self._sweep(family)
                continue
            if self._is_restart:
                speaker.tables[family].tell_all()
                seconds = now - self._recovery.started
                _log.info("%s: recovered after %.1f s", family, seconds)
            recovering = frozenset(self._recovery.untold) & speaker.restart.recovering
            speaker.set_restart(replace(speaker.restart, recovering=recovering))
        if self._recovery.is_over:  # a session that is lost from now on finds us whole
            speaker.set_restart(RestartState(preserved=frozenset(FAMILIES)))
        if self._is_restart and steps and not self._recovery.untold:
            self._is_restart = False
            seconds = now - self._recovery.started
            _log.info("restart is over after %.1f s: End-of-RIB sent to all", seconds)


def _sights(peers: Iterable[Peer]) -> list[PeerSight]:
    sights = []
    # The neighbours of a range have them alike.
    shared: dict[int, frozenset[Family]] = {}
    for peer in peers:
        session, settings = peer.driver.session, peer.settings
        families = shared.get(id(settings.families))
        if families is None:
            families = shared[id(settings.families)] = offered(settings)
        sights.append(
            PeerSight(
                session.is_started,
                families,
                peer.negotiated,
                peer.ended_families,
                session.counters.established_since or 0.0,
                peer.heard_at,
            )
        )
    return sights


def offered(settings: PeerSettings) -> frozenset[Family]:
    """Return the families that are configured for a peer."""
    return frozenset(mine.family for mine in settings.families)
