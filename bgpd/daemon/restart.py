"""Our own restart: End-of-RIB is withheld until our peers are back (RFC 4724 4.1).

Peers that keep our routes over our restart sweep what we have not told again at our
End-of-RIB. A reflector that sent it while half its clients were still on their way would
make the other half drop good routes. So all End-of-RIBs wait until every configured peer
has told all its routes; where a peer is missing, or may come from a dynamic range, until
no new session has come up for ``QUIET`` seconds; and never longer than a cap.

A peer that has itself restarted waits in the same way, and says so by its R flag: it is
not waited for, nor is one without graceful restart, which may never send End-of-RIB.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bgpd.daemon.peer import Peer
from bgpd.daemon.speaker import Speaker
from bgpd.session.fsm import State
from rib.family import Family

QUIET: Final = 10.0
"""Seconds without a new session. Our own clients try again within five."""
LOOK: Final = 0.5  # seconds between looks

_log = logging.getLogger(__name__)


class Deferral:
    """Withholds a speaker's End-of-RIBs from now on, until it is time.

    Args:
        speaker: Whose.
        cap: Seconds after which they are sent in any case.
        then: Called once they are sent.
        quiet: See ``QUIET``.
    """

    def __init__(
        self,
        speaker: Speaker,
        cap: float,
        then: Callable[[], None],
        quiet: float = QUIET,
    ) -> None:
        self._speaker = speaker
        self._then = then
        self._quiet = quiet
        self._started = speaker.loop.time()
        self._until = self._started + cap
        self._timer: asyncio.TimerHandle | None = None
        for tables in speaker.tables.values():
            tables.withholds_end_of_rib = True
        speaker.end_of_rib_listeners.append(self._end_of_rib)
        self._look()

    @property
    def progress(self) -> tuple[int, float, float] | None:
        """Peers waited for, seconds so far, and seconds at most; ``None`` when over."""
        if self._timer is None:
            return None
        now = self._speaker.loop.time()
        waiting = sum(
            peer.driver.session.is_started
            and (peer.state is not State.ESTABLISHED or not has_told_all(peer))
            for peer in self._speaker.peers.values()
        )
        return waiting, now - self._started, self._until - self._started

    def close(self) -> None:
        """Look no more; what is withheld stays so."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._is_over():
            self._end()
        else:
            self._timer = self._speaker.loop.call_later(LOOK, self._look)

    def _end_of_rib(self, _peer: Peer, _family: Family) -> None:
        if self._timer is not None and self._is_over():
            self._end()

    def _is_over(self) -> bool:
        speaker = self._speaker
        now = speaker.loop.time()
        if now >= self._until:
            return True
        is_complete = bool(speaker.peers) and not speaker.ranges
        last = self._started
        for peer in speaker.peers.values():
            session = peer.driver.session
            if peer.state is not State.ESTABLISHED:
                is_complete = is_complete and not session.is_started
                continue
            if not has_told_all(peer):
                return False
            last = max(last, session.counters.established_since or last)
        return is_complete or now - last >= self._quiet

    def _end(self) -> None:
        self.close()
        self._speaker.end_of_rib_listeners.remove(self._end_of_rib)
        for tables in self._speaker.tables.values():
            tables.release_end_of_rib()
        seconds = self._speaker.loop.time() - self._started
        _log.info("restart is over after %.1f s: End-of-RIB sent to all", seconds)
        self._then()


def has_told_all(peer: Peer) -> bool:
    """Return whether nothing more of an established peer's first routes is waited for."""
    negotiated = peer.negotiated
    if negotiated is None:
        return True
    graceful = negotiated.graceful_restart
    if graceful is None or graceful.is_restarting:
        return True
    return negotiated.families <= peer.ended_families
