"""The daemon as metrics and health checks see it."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from bgpd import __version__
from bgpd.api.figures import (
    DatastoreFigures,
    Figures,
    MrtFigures,
    PeerFigures,
    RangeFigures,
    ReloadFigures,
    StageTimes,
    TableFigures,
)
from bgpd.api.health import Check
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.propagation import BOUNDS, Propagation
from bgpd.runtime.build import build
from bgpd.runtime.fault_isolation import peer_of
from bgpd.runtime.log_limit import BURST
from bgpd.runtime.log_setup import alike, log_figures
from bgpd.runtime.loop_lag import LagMeter
from bgpd.runtime.supervisor import describe
from bgpd.session.fsm import State
from bgpd.show.advertised_counts import export_counts_of
from bgpd.show.daemon_state import DaemonState
from bgpd.show.peer_figures import peer_figures
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from rib.path import Source

# A loop that is held up for longer, again and again, lets hold timers run out.
LAG_LIMIT: Final = 5.0  # seconds
LAG_WINDOW: Final = (
    10.0  # seconds; from one probe to the next, so that none misses a delay
)
COUNTED_PREFIXES: Final = (
    100_000  # of a table; to count what larger ones send takes long
)
SHOWN_OBJECTS: Final = 100  # with findings, by name; a series each

_STATE_NAMES: Final = {state: state.name.lower() for state in State}

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class DaemonHealth:
    """Answers the HTTP server (``bgpd.api.health.HealthSource``).

    Args:
        daemon: The daemon to report on; it may still be starting.
        lag: Measures its event loop, since the start.
        warnings: Returns what an operator should know now.
        max_peers: Most peers with metrics of their own.
    """

    def __init__(
        self,
        daemon: DaemonState,
        lag: LagMeter,
        warnings: Callable[[], Sequence[str]],
        max_peers: int,
    ) -> None:
        self._daemon = daemon
        self._lag = lag
        self._warnings = warnings
        self._max_peers = max_peers
        self._was_synced = False
        self._at_fault: set[str] = set()  # whose figures were missing last time

    def figures(self) -> Figures:
        """Return a snapshot; figures of peers are made as they are read."""
        daemon, speaker = self._daemon, self._daemon.speaker
        peers: Iterable[PeerFigures | None] = ()
        tables: tuple[TableFigures, ...] = ()
        states = Counter[State]()
        if speaker is not None:
            chosen = self._chosen(speaker)
            peers = self._peers(speaker, chosen)
            states.update(peer.state for peer in speaker.peers.values())
            of_tables = ((str(name), each) for name, each in speaker.tables.items())
            tables = tuple(self._sound(_table, of_tables))
        pulse = speaker.context.poller.pulse if speaker is not None else None
        malformed = None if speaker is None else speaker.context.malformed_updates
        log = log_figures()
        holds = None if daemon.cluster is None else daemon.cluster.holds
        fib = daemon.forwarding.fib if daemon.forwarding is not None else None
        return Figures(
            version=__version__,
            build=build(),
            uptime=self._lag.age,
            session_states={
                name: states[state] for state, name in _STATE_NAMES.items()
            },
            peers=peers,
            tables=tables,
            rejected_connections=speaker.incoming.rejected_count if speaker else 0,
            malformed_kept=malformed.count if malformed else 0,
            malformed_dropped=malformed.dropped if malformed else 0,
            orphan_paths=speaker.housekeeping.leftovers.count if speaker else 0,
            warnings=len(self._warnings()),
            object_warnings=self._object_warnings(),
            contained_faults=dict(daemon.border.counts),
            lag_worst=self._lag.worst(),
            lag_p99=self._lag.percentile(0.99),
            process_stalls=pulse.stall_count if pulse else 0,
            process_stall_seconds=pulse.stall_seconds if pulse else 0.0,
            log_lines_lost=log.lost,
            log_lines_suppressed=log.counted,
            fib=None if fib is None else fib.counts,
            datastore=self._datastore(),
            held={} if holds is None else holds.figures(),
            removal_holds=0 if holds is None else holds.total,
            reload=self._reload(),
            deferral_peers=self._awaited_count(),
            ranges=() if speaker is None else tuple(_ranges(speaker)),
            omitted_peers=max(0, states.total() - self._max_peers),
            mrt=tuple(MrtFigures(*row) for row in daemon.mrt_figures()),
        )

    def _peers(
        self, speaker: Speaker, chosen: Sequence[tuple[str, Peer]]
    ) -> Iterator[PeerFigures | None]:
        """Yield the peers' figures, with yield points."""
        advertised: dict[Source, int] = {}
        for family, tables in speaker.tables.items():
            if len(tables.loc_rib) <= COUNTED_PREFIXES:
                sources = [
                    peer.sources[family]
                    for _, peer in chosen
                    if family in peer.sources and peer.state is State.ESTABLISHED
                ]
                yield from export_counts_of(tables, sources, advertised)
        yield from self._sound(peer_figures(speaker, advertised), chosen)

    def _chosen(self, speaker: Speaker) -> list[tuple[str, Peer]]:
        """Return the peers with metrics of their own: configured ones before dynamic ones."""
        peers = [(f"peer {name}", each) for name, each in speaker.peers.items()]
        if len(peers) > self._max_peers:
            peers.sort(key=lambda named: bool(named[1].range_name))
        chosen = peers[: self._max_peers]
        if self._at_fault:
            tables = {str(name) for name in speaker.tables}
            self._at_fault &= {name for name, _ in chosen} | tables
        return chosen

    def _sound(
        self,
        figures_of: Callable[[T], R],
        items: Iterable[tuple[str, T]],
    ) -> Iterator[R]:
        """Yield figures; an error loses only its own, and is logged once."""
        for name, item in items:
            try:
                found = figures_of(item)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001  # of one, not of all
                if name not in self._at_fault:
                    text = describe(error)
                    _log.error(
                        "%(part)s: its metrics are missing: %(reason)s",
                        {
                            "event": "figures-missing",
                            "part": name,
                            "reason": text,
                            **peer_of(item),
                        },
                        extra=alike("reason", burst=BURST),
                        exc_info=error,
                    )
                    self._at_fault.add(name)
            else:
                self._at_fault.discard(name)
                yield found

    def _awaited_count(self) -> int | None:
        report = self._daemon.recovery()
        return None if report is None else report.progress.waiting_count

    def _object_warnings(self) -> tuple[tuple[str, str], ...]:
        cluster = self._daemon.cluster
        if cluster is None:
            return ()
        found = cluster.warnings()
        named = [(warning.key, warning.field) for warning in found[:SHOWN_OBJECTS]]
        return (*named, *((("others", ""),) * (len(found) - SHOWN_OBJECTS)))

    def _reload(self) -> ReloadFigures | None:
        reloading = self._daemon.reloading
        if not reloading.files:
            return None
        return ReloadFigures(
            is_successful=not reloading.refusal,
            success_time=reloading.succeeded_at,
            pending_keys=self._daemon.pending_keys,
            held_changes=self._daemon.commit.held_count,
            is_confirmed=self._daemon.commit.is_confirmed,
        )

    def _datastore(self) -> DatastoreFigures | None:
        cluster = self._daemon.cluster
        if cluster is None:
            return None
        status = cluster.status
        nodes, now = status.nodes, time.time()
        checked_at = 0.0 if nodes is None else nodes.checked_at
        return DatastoreFigures(
            kind=status.kind,
            is_connected=status.is_connected,
            applied_revision=status.applied_revision,
            lag_revisions=status.lag_revisions,
            snapshots=status.snapshots,
            disconnected_seconds=(
                0.0
                if status.is_connected
                else max(0.0, time.monotonic() - status.since)
            ),
            saved_state_age=now - status.saved_at if status.saved_at else 0.0,
            node_events=None if nodes is None else nodes.events,
            reads_all_nodes=None if nodes is None else nodes.scope == "all",
            hidden_nodes=None if nodes is None else len(nodes.hidden),
            node_check_age=now - checked_at if checked_at else None,
        )

    def liveness(self) -> list[Check]:
        """Whether the event loop keeps up.

        Nothing else ends the process from outside: a daemon without datastore or peers
        still forwards by what it knows, and a restart would not help. Nor does it help one
        that was paused and goes on: that is a standstill, and no fault of the loop's.
        """
        worst = self._lag.worst_by_work(LAG_WINDOW)
        text = f"longest delay {worst:.3f} s in the last {LAG_WINDOW:.0f} s"
        return [Check("event loop", worst <= LAG_LIMIT, text)]

    def readiness(self) -> list[Check]:
        """Whether everything that the start waits for has arrived."""
        checks = [self._started(), self._listens(), *self._recovered()]
        checks += self._configuration()
        cluster = self._daemon.cluster
        if cluster is not None:
            status = cluster.status
            text = status.last_error or f"{status.snapshots} snapshots"
            held = sum(cluster.holds.figures().values())
            # Not a reason to be unready: what runs is right, and a restart would lose it.
            text += f", holding {held} objects that it no longer has" if held else ""
            checks.append(Check("datastore", status.snapshots > 0, text))
        forwarding = self._daemon.forwarding
        if forwarding is not None and forwarding.fib is not None:
            # Once is enough: under churn something is always on its way.
            self._was_synced = self._was_synced or forwarding.fib.is_synced
            pending = forwarding.fib.counts.pending
            checks.append(Check("fib", self._was_synced, f"{pending} changes pending"))
        return checks

    def _started(self) -> Check:
        is_started = self._daemon.is_started
        return Check("start", is_started, "done" if is_started else "not done")

    def _configuration(self) -> Iterator[Check]:
        """Yield the state of the file; a bad one does not affect what runs."""
        reloading = self._daemon.reloading
        if reloading.files:
            lines = [*self._daemon.commit.warnings(), *reloading.warnings()]
            text = "; ".join(lines) or "the file is in force"
            yield Check("configuration", is_met=True, text=text)

    def _recovered(self) -> Iterator[Check]:
        """Whether our restart is complete: only then restart the other one of a pair."""
        report = self._daemon.recovery()
        if report is not None and report.is_certain:
            waiting, elapsed, cap = report.progress
            text = f"waiting for {waiting} peers, {elapsed:.0f} of at most {cap:.0f} s"
            yield Check("restart", is_met=False, text=text)

    def _listens(self) -> Check:
        faults = self._daemon.listen_faults
        is_listening = self._daemon.is_started and not faults
        text = "listening" if is_listening else "not yet"
        return Check("listener", is_listening, "; ".join(faults) or text)


def _ranges(speaker: Speaker) -> Iterator[RangeFigures]:
    sizes = speaker.neighbours.range_sizes
    for name, settings in speaker.neighbours.ranges.items():
        yield RangeFigures(name, settings.prefix, sizes[name], settings.limit)


def _table(tables: FamilyTables) -> TableFigures:
    groups = tables.groups.values()
    return TableFigures(
        family=str(tables.family),
        prefixes=len(tables.loc_rib),
        paths=sum(tables.loc_rib.path_counts.values()),
        pending=tables.pending_count,
        groups=len(groups),
        members=sum(len(group.members) for group in groups),
        slow_peers=sum(
            member.is_slow for group in groups for member in group.members.values()
        ),
        paced=tables.pacing.held_count,
        bounds=BOUNDS,
        stages=tuple(_stages(tables.propagation)),
    )


def _stages(propagation: Propagation | None) -> Iterator[StageTimes]:
    """Yield what is measured, with stages that some prefix has reached."""
    if propagation is not None:
        for name, histogram in propagation.stages():
            if any(histogram.counts):
                yield StageTimes(name, tuple(histogram.counts), histogram.total)
