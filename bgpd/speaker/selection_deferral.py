"""Our own restart: what peers and the kernel hold of us is left alone for a while.

``bgpd.session.gr_restarting_speaker`` says when it is over, family by family; here it is carried out.
Until then (RFC 4724 4.1):

* peers that keep our routes get no End-of-RIB, since they drop what was not re-advertised by
  then: a reflector that has heard half its clients would take good routes from the other
  half. At first they get only our own routes: those of peers may be better soon;
* routes that were found in the kernel are neither replaced nor removed.

Peers that keep nothing get what there is at once: some is better for them than none. So
do all peers if we do not know that we restarted, or that any peer still keeps something;
only End-of-RIB waits then.

Who was up before is known from ``bgpd.speaker.peer_memory``. Neighbours of ranges among them
are connected to (``bgpd.speaker.dynamic_neighbours``).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from time import monotonic
from typing import Final, NamedTuple

from bgpd.config.settings import RestartSettings
from bgpd.net.pulse import Stall
from bgpd.runtime.log_fields import Names
from bgpd.session.gr_restarting_speaker import (
    WINDOW,
    DeferralLimits,
    PeerSight,
    Progress,
    RestartingSpeaker,
    Step,
)
from bgpd.session.negotiation import RestartState
from bgpd.session.settings import PeerSettings
from bgpd.speaker.dynamic_neighbours import reconnect
from bgpd.speaker.peer import Peer
from bgpd.speaker.previous_run import Start
from bgpd.speaker.remembered_peers import RememberedPeers, patience, still_matches
from bgpd.speaker.session_observers import SessionObserver
from bgpd.speaker.speaker import FAMILIES, Speaker
from rib.family import Family

LOOK: Final = 0.5  # seconds between looks
NUDGE: Final = 0.02  # seconds until the look that End-of-RIBs ask for together
NUDGE_FACTOR: Final = 20  # and at least so many times what the last look took
SEEK_AFTER: Final = 0.3  # seconds for those who wait to be accepted to be seen first
LEAST_TIME: Final = 60.0
"""Seconds that recovery takes at most, unless a peer keeps our routes for longer."""
SHOWN: Final = 10  # names in a line of the log
NOTHING: Final[frozenset[Family]] = frozenset()
SLICE = 1000  # peers looked at in one turn; not Final: tests change it

_log = logging.getLogger(__name__)


class Report(NamedTuple):
    """How far a recovery is, for people.

    Attributes:
        progress: Numbers.
        deferred_routes: Families in which peers that keep our routes get only our own.
        deferred_end_of_rib: Families whose End-of-RIB waits.
        awaited: Addresses of those who are waited for, in order.
        is_certain: Whether any peer keeps our routes, as far as we know; otherwise it may
            be a first start, and nothing but End-of-RIB is held back.
    """

    progress: Progress
    deferred_routes: tuple[Family, ...]
    deferred_end_of_rib: tuple[Family, ...]
    awaited: Mapping[str, None]
    is_certain: bool


class SelectionDeferral(SessionObserver):
    """Carries out a speaker's recovery, beginning now.

    Args:
        speaker: Whose.
        limits: When it is over in any case.
        sweep: Lets the kernel follow a family, and removes what is stale in it.
        preserved: Families whose forwarding survived.
        window: See ``bgpd.session.gr_restarting_speaker``.
        remembered: Peers that were up before; ``None`` if unknown. With it, all peers are
            known once ``peers_are_known`` was called, not before.
        is_certain: Whether it is known that we restarted; for the log.
    """

    def __init__(
        self,
        speaker: Speaker,
        limits: DeferralLimits,
        *,
        sweep: Callable[[Family], None] | None = None,
        preserved: frozenset[Family] = frozenset(FAMILIES),
        window: float = WINDOW,
        remembered: RememberedPeers | None = None,
        is_certain: bool = True,
    ) -> None:
        self._speaker = speaker
        self._sweep = sweep
        now = speaker.loop.time()
        self._recovery = RestartingSpeaker(FAMILIES, now, limits, window)
        self._remembered = remembered
        self._title = "restart" if is_certain else "start"
        self._lost_at = now - (remembered.age if remembered is not None else 0.0)
        self._are_known = remembered is None
        self._timer: asyncio.TimerHandle | None = None
        self._is_nudged = False
        self._is_gathering = False
        self._took = 0.0  # seconds, the last look
        self._awaited: Mapping[str, None] = {}
        self._is_restart = limits.end > 0
        if self._is_restart:
            for tables in speaker.tables.values():
                tables.defer(defers_routes=limits.tell > 0)
        recovering = frozenset(FAMILIES if self._is_restart else ())
        speaker.neighbours.set_restart(RestartState(recovering, preserved))
        speaker.observers.attach(self)
        self._look()

    @property
    def progress(self) -> Progress | None:
        """How far it is; ``None`` once it is over."""
        return self._recovery.progress(self._speaker.loop.time())

    @property
    def report(self) -> Report | None:
        """How far it is, and which peers it waits for; ``None`` once it is over."""
        progress, recovery = self.progress, self._recovery
        if progress is None:
            return None
        deferred_routes, deferred_end_of_rib = (
            tuple(sorted(recovery.deferred_routes)),
            tuple(sorted(recovery.deferred_end_of_rib)),
        )
        is_certain = recovery.limits.tell > 0
        return Report(
            progress, deferred_routes, deferred_end_of_rib, self._awaited, is_certain
        )

    def peers_are_known(self) -> None:
        """Look for those who were up, too: the configuration has been taken in."""
        if self._remembered is not None and not self._are_known:
            loop = self._speaker.loop
            loop.call_later(SEEK_AFTER, self._seek, self._remembered)

    def _seek(self, remembered: RememberedPeers) -> None:
        speaker = self._speaker
        speaker.work_queue.add(
            reconnect(speaker.neighbours, remembered, self._lost_at, self._found)
        )

    def _found(self) -> None:
        self._are_known = True

    def close(self) -> None:
        """Stop checking; what is deferred stays deferred."""
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
        sights += self._sights(some)
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

    def resumed(self, stall: Stall) -> None:
        """Leave a standstill out of the windows: no peer could come back in it."""
        self._recovery.resume(stall.lost, stall.now)

    def _wait(self, seconds: float) -> None:
        self.close()
        self._timer = self._speaker.loop.call_later(seconds, self._look)

    def end_of_rib_received(self, peer: Peer, family: Family) -> None:  # noqa: ARG002
        """Look soon: a family may have what it waits for."""
        if self._timer is not None and not self._is_nudged:
            self._is_nudged = True
            if not self._is_gathering:
                self._wait(self._nudge)

    def _take_steps(self, sights: list[PeerSight]) -> None:
        speaker, recovery = self._speaker, self._recovery
        now = speaker.context.poller.pulse.look()
        has_unknown_peers = bool(speaker.neighbours.ranges) and self._remembered is None
        steps = recovery.look(
            sights, now, has_unknown_peers=has_unknown_peers or not self._are_known
        )
        awaited = (sights[place].address for place in recovery.awaited)
        self._awaited = dict.fromkeys(awaited)
        for family, step in steps:
            self._take(family, step, now - recovery.started)
        if recovery.is_over:  # a session that is lost from now on finds us whole
            speaker.neighbours.set_restart(RestartState(preserved=frozenset(FAMILIES)))
        if self._is_restart and steps and not recovery.deferred_end_of_rib:
            self._is_restart = False
            missing = self._missing(sights, now)
            _log.info(
                "%(start)s completed after %(seconds).1f s: sent End-of-RIB to all peers; "
                "still missing: %(addresses)s"
                if missing
                else "%(start)s completed after %(seconds).1f s: sent End-of-RIB to all "
                "peers",
                {
                    "event": "start-completed",
                    "start": self._title,
                    "seconds": now - recovery.started,
                    "addresses": missing,
                },
            )

    def _take(self, family: Family, step: Step, seconds: float) -> None:
        speaker = self._speaker
        match step:
            case Step.TELL:
                if self._recovery.limits.tell:
                    speaker.tables[family].send_deferred()
                    _log.info(
                        "%(family)s: advertising peers' routes after %(seconds).1f s",
                        {
                            "event": "deferred-routes-advertised",
                            "family": family,
                            "seconds": seconds,
                        },
                    )
            case Step.END:
                if self._is_restart:
                    speaker.work_queue.add(speaker.tables[family].end_deferral())
                    _log.info(
                        "%(family)s: selection deferral completed after %(seconds).1f s",
                        {
                            "event": "deferral-completed",
                            "family": family,
                            "seconds": seconds,
                        },
                    )
                left = (
                    frozenset(self._recovery.deferred_end_of_rib)
                    & speaker.context.restart.recovering
                )
                speaker.neighbours.set_restart(
                    replace(speaker.context.restart, recovering=left)
                )
            case Step.SWEEP:
                if self._sweep is not None:
                    self._sweep(family)

    def _missing(self, sights: list[PeerSight], now: float) -> Names:
        """Return who was up before and has not come, for the log."""
        away = {sight.address for sight in sights if sight.negotiated is None}
        known = () if self._remembered is None else self._remembered.members.values()
        waited = now - self._lost_at
        peers = self._speaker.peers
        gone = [
            member.address
            for member in known
            if member.seconds
            and waited >= patience(member.seconds)
            and (member.address in away or member.address not in peers)
        ]
        return Names(tuple(gone[:SHOWN]), more=len(gone) - SHOWN)

    def _sights(self, peers: Iterable[Peer]) -> list[PeerSight]:
        sights = []
        known = {} if self._remembered is None else self._remembered.members
        # The neighbours of a range have them alike.
        shared: dict[int, frozenset[Family]] = {}
        for peer in peers:
            session, settings = peer.driver.session, peer.settings
            families = shared.get(id(settings.families))
            if families is None:
                families = shared[id(settings.families)] = offered(settings)
            kept, until = NOTHING, 0.0
            if peer.negotiated is None:
                member = known.get(settings.remote_addr)
                if member is not None and still_matches(member, settings):
                    kept, until = (
                        member.families,
                        self._lost_at + patience(member.seconds),
                    )
                elif self._remembered is None and is_assumed(settings):
                    seconds = patience(settings.graceful_restart_time)
                    kept, until = families, self._lost_at + seconds
            sights.append(
                PeerSight(
                    session.is_started,
                    families,
                    peer.negotiated,
                    peer.imports.ended_families,
                    session.counters.established_since or 0.0,
                    peer.imports.heard_at,
                    kept,
                    until,
                    settings.remote_addr,
                )
            )
        return sights


def deferral_limits_of(
    times: RestartSettings,
    start: Start,
    remembered: RememberedPeers | None,
    peers: Iterable[PeerSettings],
) -> DeferralLimits:
    """Return how long a recovery takes at most.

    Args:
        times: What is configured.
        start: The kind of this start.
        remembered: Peers that were up before; ``None`` if unknown.
        peers: The configured ones.
    """
    if not (times.is_enabled and start.is_restart):
        return DeferralLimits(tell=0, end=0, sweep=times.sweep_time)
    peers = [*peers]
    if remembered is None:
        longest = max(
            (patience(p.graceful_restart_time) for p in peers if is_assumed(p)),
            default=0.0,
        )
    else:
        longest = remembered.longest
    end = max(longest, LEAST_TIME)
    if times.selection_deferral_time is not None:
        end = times.selection_deferral_time
    is_kept = start.is_certain and (remembered is None or longest > 0)
    tell = min(end, LEAST_TIME) if is_kept else 0
    alone = max((_kept_long(each) for each in peers), default=0)
    return DeferralLimits(tell, end, times.sweep_time, alone)


def _kept_long(settings: PeerSettings) -> int:
    """Return the seconds for which we would keep a peer's routes (RFC 9494), had we not restarted.

    What the peer has sent is not known any more; it is taken for what we send it.
    """
    if not (settings.has_graceful_restart and settings.long_lived_stale_time):
        return 0
    cap = settings.max_long_lived_stale_time or settings.long_lived_stale_time
    return settings.graceful_restart_time + min(cap, settings.long_lived_stale_time)


def is_assumed(settings: PeerSettings) -> bool:
    """Whether a peer may keep our routes, if we do not know who was up.

    Only clients are assumed to: routes of other peers go to our clients alone (RFC 4456 6).
    """
    gives_time = settings.has_graceful_restart and settings.graceful_restart_time > 0
    return settings.is_client and gives_time


def offered(settings: PeerSettings) -> frozenset[Family]:
    """Return the families that are configured for a peer."""
    return frozenset(mine.family for mine in settings.families)
