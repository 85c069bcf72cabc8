"""Figures of the daemon -> Prometheus text, in small pieces that do not block the loop.

``Figures`` is a plain snapshot that the daemon takes; nothing here knows where it comes
from. One row of a table per metric; ``FiguresCollector`` is a collector in the sense of
prometheus-client, ``render`` writes what it collects a few hundred samples at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Final, NamedTuple

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fib.routes import FibCounts

SLICE: Final = 256  # samples written in one go, some 2 ms

FIB_STATES: Final = ("wanted", "installed", "pending", "failed", "conflicts", "stale")


class TableFigures(NamedTuple):
    """One family's tables.

    Attributes:
        family: Its name.
        prefixes: Prefixes in Loc-RIB.
        paths: Paths in Loc-RIB.
        pending: Prefixes that wait for the next flush.
        groups: Update groups.
        members: Sessions in update groups.
        slow_peers: Those that cannot keep up at the moment.
        paced: Prefixes held back in update groups, since they keep changing.
    """

    family: str
    prefixes: int
    paths: int
    pending: int
    groups: int
    members: int
    slow_peers: int
    paced: int = 0


class PeerTableFigures(NamedTuple):
    """One family of one peer.

    Attributes:
        family: Its name.
        received: Prefixes it announces.
        accepted: Those in Loc-RIB.
        filtered: Those that policy, a loop check or a limit refused.
        blocked: Those of them that a limit keeps out.
        stale: Those accepted that outlived their session, and were not announced since.
        max_prefixes: Limit of those accepted that are not stale; 0 is none.
        max_received: Limit of those received that are not stale; 0 is none.
        ignored: Prefixes that were not unicast destinations, since the peer exists.
        max_advertised: Limit of routes advertised to it; 0 is none.
        advertised: Routes advertised to it, where there is a limit.
        excess: Routes that are not advertised because of it.
    """

    family: str
    received: int
    accepted: int
    filtered: int
    blocked: int = 0
    stale: int = 0
    max_prefixes: int = 0
    max_received: int = 0
    ignored: int = 0
    max_advertised: int = 0
    advertised: int = 0
    excess: int = 0


class PeerFigures(NamedTuple):
    """One peer.

    Attributes:
        name: As configured.
        address: Its address.
        state: Of its session, such as ``established``.
        is_established: Routes may flow.
        flaps: Established sessions that ended.
        malformed_updates: Problems found in its UPDATEs.
        messages_received: All messages.
        messages_sent: All messages.
        tables: By family.
    """

    name: str
    address: str
    state: str
    is_established: bool
    flaps: int
    malformed_updates: int
    messages_received: int
    messages_sent: int
    tables: tuple[PeerTableFigures, ...]


@dataclass(frozen=True, slots=True)
class DatastoreFigures:
    """The datastore.

    Attributes:
        kind: ``etcd``, ``folder`` or ``memory``.
        is_connected: Changes would be noticed now.
        applied_revision: Of the newest event that was applied.
        lag_revisions: Revisions known to the source but not applied.
        snapshots: More than one means lost continuity.
        saved_state_age: Seconds since the state in force was saved; 0 if the datastore
            itself has supplied it.
        node_events: About Nodes, that Kubernetes' API has sent; ``None`` without it.
        reads_all_nodes: All Nodes are read, not just the needed ones; as ``node_events``.
        hidden_nodes: Needed Nodes that no label selector finds; as ``node_events``.
        node_check_age: Seconds since that was checked; ``None`` where it was not.
    """

    kind: str
    is_connected: bool
    applied_revision: int
    lag_revisions: int
    snapshots: int
    saved_state_age: float = 0.0
    node_events: int | None = None
    reads_all_nodes: bool | None = None
    hidden_nodes: int | None = None
    node_check_age: float | None = None


@dataclass(frozen=True, slots=True)
class ReloadFigures:
    """The last configuration read.

    Attributes:
        is_successful: It was not refused.
        success_time: When the one in force was read, seconds since 1970.
        pending_keys: Changed keys that wait for the next start.
    """

    is_successful: bool
    success_time: float
    pending_keys: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The values of all metrics at one moment.

    Attributes:
        version: Of this program.
        uptime: Seconds since the start.
        session_states: Number of sessions in each state there is.
        peers: Each peer.
        tables: Each family.
        rejected_connections: From addresses that belong to no peer.
        orphan_paths: Of peers without a session, that nothing keeps.
        warnings: What an operator should know now, their number.
        object_warnings: What is wrong with the datastore's objects: key and field.
        contained_faults: How often each part had an internal error and kept its state.
        lag_worst: Longest delay of the event loop in the last minute, seconds.
        lag_p99: What 99 of 100 delays do not exceed, seconds.
        process_stalls: Times the process stood still.
        process_stall_seconds: For how long in all.
        log_lines_lost: Log lines that were not read in time.
        log_lines_suppressed: Log lines that summaries count.
        fib: The kernel's table; ``None`` without.
        datastore: ``None`` without.
        held: Objects in force although their source has them no more, by kind.
        removal_holds: How often a removal was held.
        reload: How the last reload of the configuration went; ``None`` without a file.
        deferral_peers: Peers that our End-of-RIB waits for since we restarted; ``None``
            once the restart is over.
        build: ``compiled`` or ``pure Python``.
    """

    version: str
    uptime: float
    session_states: Mapping[str, int]
    peers: tuple[PeerFigures, ...]
    tables: tuple[TableFigures, ...]
    rejected_connections: int = 0
    orphan_paths: int = 0
    warnings: int = 0
    object_warnings: tuple[tuple[str, str], ...] = ()
    contained_faults: Mapping[str, int] = field(default_factory=dict)
    lag_worst: float = 0.0
    lag_p99: float = 0.0
    process_stalls: int = 0
    process_stall_seconds: float = 0.0
    log_lines_lost: int = 0
    log_lines_suppressed: int = 0
    fib: FibCounts | None = None
    datastore: DatastoreFigures | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    removal_holds: int = 0
    reload: ReloadFigures | None = None
    deferral_peers: int | None = None
    build: str = ""


Sample = tuple[tuple[str, ...], float]
Values = Callable[[Figures], Iterable[Sample]]


class _Row(NamedTuple):
    """One metric: counters' names end in ``_total`` on the wire."""

    name: str
    help: str
    is_counter: bool
    labels: tuple[str, ...]
    values: Values


def _one(value: Callable[[Figures], float | None]) -> Values:
    """A metric without labels; none where there is nothing to measure."""

    def values(figures: Figures) -> Iterator[Sample]:
        found = value(figures)
        if found is not None:
            yield (), found

    return values


def _per_peer(value: Callable[[PeerFigures], float]) -> Values:
    return lambda figures: (
        ((peer.name, peer.address), value(peer)) for peer in figures.peers
    )


def _per_peer_table(value: Callable[[PeerTableFigures], float]) -> Values:
    return lambda figures: (
        ((peer.name, peer.address, table.family), value(table))
        for peer in figures.peers
        for table in peer.tables
    )


def _per_table(value: Callable[[TableFigures], float]) -> Values:
    return lambda figures: (((table.family,), value(table)) for table in figures.tables)


def _fib(value: Callable[[FibCounts], float]) -> Values:
    return _one(lambda f: None if f.fib is None else value(f.fib))


def _datastore(value: Callable[[DatastoreFigures], float | None]) -> Values:
    return _one(lambda f: None if f.datastore is None else value(f.datastore))


def _reload(value: Callable[[ReloadFigures], float]) -> Values:
    return _one(lambda f: None if f.reload is None else value(f.reload))


def _object_warnings(figures: Figures) -> Iterator[Sample]:
    yield from Counter(figures.object_warnings).items()


def _contained_faults(figures: Figures) -> Iterator[Sample]:
    for part, count in figures.contained_faults.items():
        yield (part,), count


def _fib_states(figures: Figures) -> Iterator[Sample]:
    if figures.fib is not None:
        for state in FIB_STATES:
            yield (state,), getattr(figures.fib, state)


_PEER: Final = ("peer", "address")
_PEER_TABLE: Final = (*_PEER, "family")
_TABLE: Final = ("family",)

_FIB_COUNTERS: Final = {
    "adopted": "Kernel routes with our protocol number that the daemon found and "
    "adopted.",
    "written": "Route messages sent to the kernel.",
    "drifts": "Changes that other programs made to our kernel routes.",
    "repairs": "Kernel routes that we restored after such a change.",
    "resyncs": "Full comparisons with the kernel's table.",
    "overflows": "How often the kernel dropped notifications.",
}

# fmt: off
ROWS: Final[tuple[_Row, ...]] = (
    _Row("pybgpd_info", "Always 1; the labels carry the version and the build.", False,
         ("version", "build"), lambda f: [((f.version, f.build), 1)]),
    _Row("pybgpd_uptime_seconds", "Seconds since the daemon started.", False, (),
         _one(lambda f: f.uptime)),
    _Row("pybgpd_selection_deferral_active", "1 while we defer End-of-RIB after a restart (RFC 4724 "
                              "4.1).", False,
         (), _one(lambda f: f.deferral_peers is not None)),
    _Row("pybgpd_selection_deferral_awaited_peers", "Peers whose End-of-RIB we still wait for.", False, (),
         _one(lambda f: f.deferral_peers or 0)),
    _Row("pybgpd_sessions", "Sessions by state.", False, ("state",),
         lambda f: (((state,), count) for state, count in f.session_states.items())),
    _Row("pybgpd_peer_up", "1 if the session is Established.", False, _PEER,
         _per_peer(lambda peer: peer.is_established)),
    _Row("pybgpd_peer_flaps", "Times an Established session ended.", True, _PEER,
         _per_peer(lambda peer: peer.flaps)),
    _Row("pybgpd_peer_malformed_updates", "Errors in UPDATE messages from the peer.", True, _PEER,
         _per_peer(lambda peer: peer.malformed_updates)),
    _Row("pybgpd_peer_messages_received", "BGP messages received.", True, _PEER,
         _per_peer(lambda peer: peer.messages_received)),
    _Row("pybgpd_peer_messages_sent", "BGP messages sent.", True, _PEER,
         _per_peer(lambda peer: peer.messages_sent)),
    _Row("pybgpd_peer_prefixes_received", "Prefixes that the peer advertises.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.received)),
    _Row("pybgpd_peer_prefixes_accepted", "Received prefixes that are in the Loc-RIB.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.accepted)),
    _Row("pybgpd_peer_prefixes_filtered", "Received prefixes that policy, a loop "
                                         "check or a limit filtered.", False, _PEER_TABLE, _per_peer_table(lambda table: table.filtered)),
    _Row("pybgpd_peer_prefixes_blocked", "Received prefixes that max_prefixes "
                                         "blocked.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.blocked)),
    _Row("pybgpd_peer_prefixes_stale", "Accepted prefixes that are stale: kept after "
                                       "the session ended and not advertised again "
                                       "since.", False, _PEER_TABLE,
         _per_peer_table(lambda table: table.stale)),
    _Row("pybgpd_peer_max_prefixes", "Limit of accepted prefixes; 0 means no limit.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.max_prefixes)),
    _Row("pybgpd_peer_max_received", "Limit of received prefixes; 0 means no limit.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.max_received)),
    _Row("pybgpd_peer_max_advertised", "Limit of routes advertised to the peer; 0 means no "
                                       "limit.", False, _PEER_TABLE,
         _per_peer_table(lambda table: table.max_advertised)),
    _Row("pybgpd_peer_routes_advertised", "Routes advertised to the peer, counted only "
                                          "where it has a limit.", False, _PEER_TABLE,
         _per_peer_table(lambda table: table.advertised)),
    _Row("pybgpd_peer_routes_excess", "Routes that are not advertised because of "
                                         "max_advertised.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.excess)),
    _Row("pybgpd_peer_prefixes_ignored", "Prefixes ignored because they are not "
                                         "unicast destinations (RFC 4271 6.3).", True, _PEER_TABLE,
         _per_peer_table(lambda table: table.ignored)),
    _Row("pybgpd_rib_prefixes", "Prefixes in the Loc-RIB.", False, _TABLE,
         _per_table(lambda table: table.prefixes)),
    _Row("pybgpd_rib_paths", "Paths in the Loc-RIB.", False, _TABLE,
         _per_table(lambda table: table.paths)),
    _Row("pybgpd_rib_orphan_paths", "Orphan paths: their peer has no session and "
                                      "nothing keeps them. Anything above 0 is a "
                                      "bug; the daemon removes them.", False, (),
         _one(lambda f: f.orphan_paths)),
    _Row("pybgpd_pending_prefixes", "Changed prefixes that wait for the next flush "
                                    "to the peers.", False, _TABLE,
         _per_table(lambda table: table.pending)),
    _Row("pybgpd_paced_prefixes", "Prefixes that wait for the advertisement interval "
                                  "because they keep changing.", False, _TABLE, _per_table(lambda table: table.paced)),
    _Row("pybgpd_update_groups", "Update groups.", False, _TABLE,
         _per_table(lambda table: table.groups)),
    _Row("pybgpd_update_group_members", "Sessions in update groups.", False, _TABLE,
         _per_table(lambda table: table.members)),
    _Row("pybgpd_update_group_slow_peers", "Slow peers: sessions in update groups "
                                           "that do not keep up.", False,
         _TABLE, _per_table(lambda table: table.slow_peers)),
    _Row("pybgpd_fib_routes", "Kernel routes by state.", False, ("state",),
         _fib_states),
    _Row("pybgpd_fib_next_hop_objects", "Kernel next-hop objects in use.", False, (),
         _fib(lambda fib: fib.next_hop_objects)),
    *(_Row(f"pybgpd_fib_{name}", text, True, (),
           _fib(lambda fib, name=name: getattr(fib, name)))  # type: ignore[misc]
      for name, text in _FIB_COUNTERS.items()),
    _Row("pybgpd_datastore_connected", "1 while the datastore connection delivers "
                                       "changes.", False, (),
         _datastore(lambda store: store.is_connected)),
    _Row("pybgpd_datastore_revision", "Latest datastore revision applied.", False, (),
         _datastore(lambda store: store.applied_revision)),
    _Row("pybgpd_datastore_lag_revisions", "Datastore revisions seen but not yet "
                                           "applied.", False, (),
         _datastore(lambda store: store.lag_revisions)),
    _Row("pybgpd_datastore_saved_state_age_seconds", "Age of the saved state that is in "
                                                     "force until the datastore answers; 0 once it has.",
         False, (), _datastore(lambda store: store.saved_state_age)),
    _Row("pybgpd_datastore_node_events", "Events about Nodes that the Kubernetes API has "
                                         "sent.", True, (),
         _datastore(lambda store: store.node_events)),
    _Row("pybgpd_datastore_reads_all_nodes", "1 while the daemon reads all Nodes, 0 while "
                                             "it reads the needed ones alone.", False, (),
         _datastore(lambda store: store.reads_all_nodes)),
    _Row("pybgpd_datastore_hidden_nodes", "Needed Nodes that no label selector finds; while "
                                          "there are any, the daemon reads all.", False, (),
         _datastore(lambda store: store.hidden_nodes)),
    _Row("pybgpd_datastore_node_check_age_seconds", "Time since the daemon last checked that "
                                                    "it reads all needed Nodes.", False, (),
         _datastore(lambda store: store.node_check_age)),
    _Row("pybgpd_datastore_snapshots", "Full snapshots read from the datastore; "
                                       "every one after the first follows a gap in "
                                       "the watch.", True, (), _datastore(lambda store: store.snapshots)),
    _Row("pybgpd_held_objects", "Objects still in force although their source no "
                                "longer has them, because their removal is "
                                "implausible.", False, ("kind",),
         lambda f: (((kind,), count) for kind, count in f.held.items())),
    _Row("pybgpd_removal_holds", "Implausible removals that the daemon has held.", True, (),
         _one(lambda f: f.removal_holds)),
    _Row("pybgpd_config_last_reload_successful", "0 if the daemon rejected the "
                                                 "configuration at the last reload, "
                                                 "otherwise 1.", False, (), _reload(lambda it: it.is_successful)),
    _Row("pybgpd_config_last_reload_success_timestamp_seconds", "Unix time at which "
                                                                "the daemon read the "
                                                                "configuration in "
                                                                "force.", False, (), _reload(lambda it: it.success_time)),
    _Row("pybgpd_config_pending_keys", "Changed configuration keys that take effect "
                                       "only at the next start.",
         False, (), _reload(lambda it: it.pending_keys)),
    _Row("pybgpd_loop_lag_worst_seconds", "Longest delay of the event loop in the "
                                          "last minute.", False, (), _one(lambda f: f.lag_worst)),
    _Row("pybgpd_loop_lag_p99_seconds", "99th percentile of the event loop's delays "
                                        "in the last minute.", False, (),
         _one(lambda f: f.lag_p99)),
    _Row("pybgpd_process_stalls", "How often the process stalled for 2 s or more.", True, (),
         _one(lambda f: f.process_stalls)),
    _Row("pybgpd_process_stall_seconds", "Total time for which the process stalled.", True, (),
         _one(lambda f: f.process_stall_seconds)),
    _Row("pybgpd_log_lines_lost", "Log lines lost because the reader was too slow or "
                                  "a write failed.", True, (), _one(lambda f: f.log_lines_lost)),
    _Row("pybgpd_log_lines_suppressed", "Log lines suppressed as too frequent; "
                                     "summaries give their number.", True, (), _one(lambda f: f.log_lines_suppressed)),
    _Row("pybgpd_rejected_connections", "Connections rejected because the source "
                                       "address matched no neighbour or range.", True, (),
         _one(lambda f: f.rejected_connections)),
    _Row("pybgpd_warnings", "Current warnings for the operator.", False, (),
         _one(lambda f: f.warnings)),
    _Row("pybgpd_object_warnings", "Problems with objects in the datastore.", False,
         ("object", "field"), _object_warnings),
    _Row("pybgpd_contained_faults", "Internal errors that affected one part of the "
                                    "daemon, which kept its previous state.", True, ("part",), _contained_faults),
)
# fmt: on


_NOT_SUMMARISED: Final = frozenset(
    {
        "peers",
        "tables",
        "fib",
        "datastore",
        "object_warnings",
        "contained_faults",
        "reload",
    }
)


class FiguresCollector(Collector):
    """Collects one snapshot; a metric longer than ``SLICE`` comes in several parts.

    Args:
        figures: The snapshot.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield each metric; parts of one follow each other and have one name."""
        for row in ROWS:
            samples = iter(row.values(self._figures))
            while part := list(islice(samples, SLICE)):
                kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
                metric = kind(row.name, row.help, labels=row.labels)
                for labels, value in part:
                    metric.add_metric(labels, float(value))
                yield metric


class _Only(Collector):
    """A registry of one metric, for ``generate_latest``."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def render(figures: Figures) -> Iterator[bytes]:
    """Yield the exposition in pieces, each a few milliseconds of work."""
    name = ""
    for metric in FiguresCollector(figures).collect():
        piece = generate_latest(_Only(metric))
        if metric.name == name:
            # HELP and TYPE were written with the first part.
            piece = piece.split(b"\n", 2)[2]
        name = metric.name
        yield piece


def summary(figures: Figures) -> dict[str, object]:
    """Return the values that are not about single peers, with their names in JSON."""
    shown: dict[str, object] = {
        item.name: getattr(figures, item.name)
        for item in fields(figures)
        if item.name not in _NOT_SUMMARISED
    }
    shown["peers"] = len(figures.peers)
    shown["tables"] = [table._asdict() for table in figures.tables]
    for name in ("fib", "datastore", "reload"):
        part = getattr(figures, name)
        shown[name] = part and {f.name: getattr(part, f.name) for f in fields(part)}
    return shown
