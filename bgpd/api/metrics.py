"""Figures of the daemon -> Prometheus text, in small pieces that do not block the loop.

One row of a table per metric. A metric's samples stand together in the text, but a scrape of
5,000 peers has 100,000 of them: so the peers are read once, some at a time, their labels are
written once, and each metric's lines are made of both, some hundreds at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from bgpd.api.figures import (
    DatastoreFigures,
    Figures,
    PeerFigures,
    PeerTableFigures,
    RangeFigures,
    ReloadFigures,
    TableFigures,
)
from bgpd.api.process_metrics import process_text
from fib.routes import FibCounts

SLICE: Final = 1024  # lines made in one go, about 1 ms
_READ_SLICE: Final = 64  # peers read in one go, about 1 ms

FIB_STATES: Final = ("wanted", "installed", "pending", "failed", "conflicts", "stale")

T = TypeVar("T")
Number = float | None
Labels = tuple[str, ...]


class Snapshot:
    """Figures with the peers' labels written.

    Attributes:
        figures: All of them, but for the peers.
        peers: Labels and figures of each peer.
        peer_tables: The same for each family of each peer.
    """

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.peers: list[tuple[str, PeerFigures]] = []
        self.peer_tables: list[tuple[str, PeerTableFigures]] = []

    def read(self, peer: PeerFigures) -> None:
        """Read one peer."""
        labels = f'peer="{_escaped(peer.name)}",address="{_escaped(peer.address)}"'
        self.peers.append((labels, peer))
        self.peer_tables += [
            (f'{labels},family="{table.family}"', table) for table in peer.tables
        ]


# A metric's lines in batches of at most ``SLICE``, given its name.
Lines = Callable[[Snapshot, str], Iterable[list[str]]]


class Row(NamedTuple):
    """One metric: counters' names end in ``_total`` on the wire."""

    name: str
    help: str
    is_counter: bool
    labels: Labels
    lines: Lines
    is_histogram: bool = False

    @property
    def full_name(self) -> str:
        """The name as it is exposed."""
        return f"{self.name}_total" if self.is_counter else self.name

    @property
    def kind(self) -> str:
        """The type as it is exposed."""
        if self.is_histogram:
            return "histogram"
        return "counter" if self.is_counter else "gauge"


def labels_text(names: Labels, values: Iterable[str]) -> str:
    """Return labels as they stand between the braces."""
    return ",".join(
        [
            f'{name}="{_escaped(value)}"'
            for name, value in zip(names, values, strict=True)
        ]
    )


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value


def _one(value: Callable[[Figures], Number]) -> Lines:
    """A metric without labels; none where there is nothing to measure."""

    def lines(snapshot: Snapshot, name: str) -> Iterator[list[str]]:
        found = value(snapshot.figures)
        if found is not None:
            yield [f"{name} {+found}\n"]

    return lines


def _several(
    names: Labels, values: Callable[[Figures], Iterable[tuple[Labels, float]]]
) -> Lines:
    """A metric with labels of its own: tens of samples."""

    def lines(snapshot: Snapshot, name: str) -> Iterator[list[str]]:
        yield [
            f"{name}{{{labels_text(names, labels)}}} {+value}\n"
            for labels, value in values(snapshot.figures)
        ]

    return lines


def _per_peer(value: Callable[[PeerFigures], Number]) -> Lines:
    """A sample for each peer that has one."""
    return lambda snapshot, name: _of_each(snapshot.peers, value, name)


def _per_peer_table(value: Callable[[PeerTableFigures], Number]) -> Lines:
    """A sample for each family of each peer that has one."""
    return lambda snapshot, name: _of_each(snapshot.peer_tables, value, name)


def _slices(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]


def _of_each(
    labelled: list[tuple[str, T]], value: Callable[[T], Number], name: str
) -> Iterator[list[str]]:
    for some in _slices(labelled):
        yield [
            f"{name}{{{labels}}} {+found}\n"
            for labels, item in some
            if (found := value(item)) is not None
        ]


def _per_peer_and(
    label: str, values: Callable[[PeerFigures], Mapping[str, int]]
) -> Lines:
    """Samples for each peer, with one more label; few peers have any."""

    def lines(snapshot: Snapshot, name: str) -> Iterator[list[str]]:
        for some in _slices(snapshot.peers):
            yield [
                f'{name}{{{labels},{label}="{key}"}} {value}\n'
                for labels, peer in some
                for key, value in values(peer).items()
            ]

    return lines


def _peer_info(snapshot: Snapshot, name: str) -> Iterator[list[str]]:
    for some in _slices(snapshot.peers):
        yield [
            f'{name}{{{labels},remote_as="{peer.remote_as}",type="{peer.peer_type}"'
            f',group="{_escaped(peer.group)}",range="{_escaped(peer.range_name)}"}} 1\n'
            for labels, peer in some
        ]


def _missing_policies(peer: PeerFigures) -> Mapping[str, int]:
    missing = {}
    if peer.lacks_import_policy:
        missing["import"] = 1
    if peer.lacks_export_policy:
        missing["export"] = 1
    return missing


def _per_table(value: Callable[[TableFigures], float]) -> Lines:
    return _several(
        _TABLE,
        lambda f: [((table.family,), value(table)) for table in f.tables],
    )


def _propagation(snapshot: Snapshot, name: str) -> Iterator[list[str]]:
    """A histogram for each family and stage: cumulative buckets, sum and count."""
    for table in snapshot.figures.tables:
        for stage, counts, total in table.stages:
            labels = labels_text(("family", "stage"), (table.family, stage))
            bounds = (*map(str, table.bounds), "+Inf")
            yield [
                f'{name}_bucket{{{labels},le="{bound}"}} {count}\n'
                for bound, count in zip(bounds, accumulate(counts), strict=True)
            ] + [
                f"{name}_sum{{{labels}}} {total}\n",
                f"{name}_count{{{labels}}} {sum(counts)}\n",
            ]


def _per_range(value: Callable[[RangeFigures], float]) -> Lines:
    return _several(
        _RANGE, lambda f: [((each.name, each.prefix), value(each)) for each in f.ranges]
    )


def _fib(value: Callable[[FibCounts], float]) -> Lines:
    return _one(lambda f: None if f.fib is None else value(f.fib))


def _datastore(value: Callable[[DatastoreFigures], Number]) -> Lines:
    return _one(lambda f: None if f.datastore is None else value(f.datastore))


def _reload(value: Callable[[ReloadFigures], float]) -> Lines:
    return _one(lambda f: None if f.reload is None else value(f.reload))


def _fib_states(figures: Figures) -> Iterator[tuple[Labels, float]]:
    if figures.fib is not None:
        for state in FIB_STATES:
            yield (state,), getattr(figures.fib, state)


_PEER: Final = ("peer", "address")
_PEER_TABLE: Final = (*_PEER, "family")
_PEER_INFO: Final = ("remote_as", "type", "group", "range")
_TABLE: Final = ("family",)
_RANGE: Final = ("range", "prefix")

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
ROWS: Final[tuple[Row, ...]] = (
    Row("pybgpd_info", "Always 1; the labels carry the version and the build.", False,
         ("version", "build"),
        _several(("version", "build"), lambda f: [((f.version, f.build), 1)])),
    Row("pybgpd_uptime_seconds", "Seconds since the daemon started.", False, (),
         _one(lambda f: f.uptime)),
    Row("pybgpd_selection_deferral_active", "1 while we defer End-of-RIB after a restart (RFC 4724 "
                              "4.1).", False,
         (), _one(lambda f: f.deferral_peers is not None)),
    Row("pybgpd_selection_deferral_awaited_peers", "Peers whose End-of-RIB we still wait for.", False, (),
         _one(lambda f: f.deferral_peers or 0)),
    Row("pybgpd_sessions", "Sessions by state.", False, ("state",),
         _several(("state",), lambda f: [((state,), count) for state, count in f.session_states.items()])),
    Row("pybgpd_omitted_peers", "Peers beyond metrics.peers: the metrics of "
                                        "single peers leave them out.", False, (),
         _one(lambda f: f.omitted_peers)),
    Row("pybgpd_range_peers", "Dynamic neighbours of the range.", False, _RANGE,
         _per_range(lambda each: each.peers)),
    Row("pybgpd_range_max_peers", "Limit of dynamic neighbours of the range.", False, _RANGE,
         _per_range(lambda each: each.limit)),
    Row("pybgpd_peer_info", "Always 1; the labels carry the peer's AS (0 while it is "
                            "open), its type (client, non-client or ebgp), and its group "
                            "and range, if any.", False, (*_PEER, *_PEER_INFO), _peer_info),
    Row("pybgpd_peer_up", "1 if the session is Established.", False, _PEER,
         _per_peer(lambda peer: peer.is_established)),
    Row("pybgpd_peer_enabled", "0 while an operator or a limit keeps the peer shut down, "
                               "otherwise 1.", False, _PEER,
         _per_peer(lambda peer: peer.is_enabled)),
    Row("pybgpd_peer_bfd_up", "1 if the peer's BFD session is up; absent without BFD, and while the "
                              "state is unknown.", False, _PEER,
         _per_peer(lambda peer: peer.is_bfd_up)),
    Row("pybgpd_peer_bfd_failures", "Failures of the peer's BFD session; absent without BFD.",
         True, _PEER, _per_peer(lambda peer: peer.bfd_failures)),
    Row("pybgpd_peer_established_timestamp_seconds", "Unix time at which the session was "
                                                     "established; absent without one.",
         False, _PEER, _per_peer(lambda peer: peer.established_at)),
    Row("pybgpd_peer_drained_timestamp_seconds", "Unix time since which the peer is drained; "
                                                 "absent for others.",
         False, _PEER, _per_peer(lambda peer: peer.drained_since)),
    Row("pybgpd_peer_policy_missing", "1 for a direction in which an eBGP peer has no policy: "
                                      "nothing is accepted, or nothing is advertised (RFC "
                                      "8212). Absent otherwise.", False, (*_PEER, "direction"),
         _per_peer_and("direction", _missing_policies)),
    Row("pybgpd_peer_flaps", "Times an Established session ended.", True, _PEER,
         _per_peer(lambda peer: peer.flaps)),
    Row("pybgpd_peer_malformed_updates", "Errors in UPDATE messages from the peer.", True, _PEER,
         _per_peer(lambda peer: peer.malformed_updates)),
    Row("pybgpd_peer_messages_received", "BGP messages received.", True, _PEER,
         _per_peer(lambda peer: peer.messages_received)),
    Row("pybgpd_peer_messages_sent", "BGP messages sent.", True, _PEER,
         _per_peer(lambda peer: peer.messages_sent)),
    Row("pybgpd_peer_updates_received", "UPDATE messages received.", True, _PEER,
         _per_peer(lambda peer: peer.updates_received)),
    Row("pybgpd_peer_updates_sent", "UPDATE messages sent.", True, _PEER,
         _per_peer(lambda peer: peer.updates_sent)),
    Row("pybgpd_peer_notifications_received", "NOTIFICATION messages received, by error "
                                              "code; absent before the first.", True, (*_PEER, "code"),
         _per_peer_and("code", lambda peer: peer.notifications_received)),
    Row("pybgpd_peer_notifications_sent", "NOTIFICATION messages sent, by error "
                                          "code; absent before the first.", True, (*_PEER, "code"),
         _per_peer_and("code", lambda peer: peer.notifications_sent)),
    Row("pybgpd_peer_prefixes_received", "Prefixes that the peer advertises.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.received)),
    Row("pybgpd_peer_prefixes_accepted", "Received prefixes that are in the Loc-RIB.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.accepted)),
    Row("pybgpd_peer_prefixes_filtered", "Received prefixes that policy, a loop "
                                         "check or a limit filtered.", False, _PEER_TABLE, _per_peer_table(lambda table: table.filtered)),
    Row("pybgpd_peer_prefixes_blocked", "Received prefixes that max_prefixes "
                                         "blocked.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.blocked if table.max_prefixes else None)),
    Row("pybgpd_peer_prefixes_stale", "Accepted prefixes that are stale: kept after "
                                       "the session ended and not advertised again "
                                       "since.", False, _PEER_TABLE,
         _per_peer_table(lambda table: table.stale)),
    Row("pybgpd_peer_max_prefixes", "Limit of accepted prefixes; absent without one.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.max_prefixes or None)),
    Row("pybgpd_peer_max_received", "Limit of received prefixes; absent without one.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.max_received or None)),
    Row("pybgpd_peer_max_advertised", "Limit of routes advertised to the peer; absent "
                                       "without one.", False, _PEER_TABLE,
         _per_peer_table(lambda table: table.max_advertised or None)),
    Row("pybgpd_peer_routes_advertised", "Routes advertised to the peer. Absent without a "
                                          "limit while the table has more than 100,000 "
                                          "prefixes: counting takes too long then.", False, _PEER_TABLE,
         _per_peer_table(lambda table: table.advertised)),
    Row("pybgpd_peer_routes_excess", "Routes that are not advertised because of "
                                         "max_advertised.", False,
         _PEER_TABLE, _per_peer_table(lambda table: table.excess if table.max_advertised else None)),
    Row("pybgpd_peer_prefixes_ignored", "Prefixes ignored because they are not "
                                         "unicast destinations (RFC 4271 6.3); absent before the first.", True, _PEER_TABLE,
         _per_peer_table(lambda table: table.ignored or None)),
    Row("pybgpd_rib_prefixes", "Prefixes in the Loc-RIB.", False, _TABLE,
         _per_table(lambda table: table.prefixes)),
    Row("pybgpd_rib_paths", "Paths in the Loc-RIB.", False, _TABLE,
         _per_table(lambda table: table.paths)),
    Row("pybgpd_rib_orphan_paths", "Orphan paths: their peer has no session and "
                                      "nothing keeps them. Anything above 0 is a "
                                      "bug; the daemon removes them.", False, (),
         _one(lambda f: f.orphan_paths)),
    Row("pybgpd_pending_prefixes", "Changed prefixes that wait for the next flush "
                                    "to the peers.", False, _TABLE,
         _per_table(lambda table: table.pending)),
    Row("pybgpd_paced_prefixes", "Prefixes that wait for the advertisement interval "
                                  "because they keep changing.", False, _TABLE, _per_table(lambda table: table.paced)),
    Row("pybgpd_update_groups", "Update groups.", False, _TABLE,
         _per_table(lambda table: table.groups)),
    Row("pybgpd_update_group_members", "Sessions in update groups.", False, _TABLE,
         _per_table(lambda table: table.members)),
    Row("pybgpd_update_group_slow_peers", "Slow peers: sessions in update groups "
                                           "that do not keep up.", False,
         _TABLE, _per_table(lambda table: table.slow_peers)),
    Row("pybgpd_propagation_seconds", "How long prefixes took from the receipt of their UPDATE "
                                      "until the best path was decided, its change was sent to "
                                      "all peers that keep up, and the kernel had acknowledged "
                                      "it.", False, ("family", "stage", "le"), _propagation,
        is_histogram=True),
    Row("pybgpd_fib_routes", "Kernel routes by state.", False, ("state",),
         _several(("state",), _fib_states)),
    Row("pybgpd_fib_next_hop_objects", "Kernel next-hop objects in use.", False, (),
         _fib(lambda fib: fib.next_hop_objects)),
    *(Row(f"pybgpd_fib_{name}", text, True, (),
           _fib(lambda fib, name=name: getattr(fib, name)))  # type: ignore[misc]
      for name, text in _FIB_COUNTERS.items()),
    Row("pybgpd_datastore_connected", "1 while the datastore connection delivers "
                                       "changes.", False, (),
         _datastore(lambda store: store.is_connected)),
    Row("pybgpd_datastore_disconnected_seconds", "Age of the datastore's last word: for how "
                                                 "long the connection has been lost; 0 while it "
                                                 "delivers changes.", False, (),
         _datastore(lambda store: store.disconnected_seconds)),
    Row("pybgpd_datastore_revision", "Latest datastore revision applied.", False, (),
         _datastore(lambda store: store.applied_revision)),
    Row("pybgpd_datastore_lag_revisions", "Datastore revisions seen but not yet "
                                           "applied.", False, (),
         _datastore(lambda store: store.lag_revisions)),
    Row("pybgpd_datastore_saved_state_age_seconds", "Age of the saved state that is in "
                                                     "force until the datastore answers; 0 once it has.",
         False, (), _datastore(lambda store: store.saved_state_age)),
    Row("pybgpd_datastore_node_events", "Events about Nodes that the Kubernetes API has "
                                         "sent.", True, (),
         _datastore(lambda store: store.node_events)),
    Row("pybgpd_datastore_reads_all_nodes", "1 while the daemon reads all Nodes, 0 while "
                                             "it reads the needed ones alone.", False, (),
         _datastore(lambda store: store.reads_all_nodes)),
    Row("pybgpd_datastore_hidden_nodes", "Needed Nodes that no label selector finds; while "
                                          "there are any, the daemon reads all.", False, (),
         _datastore(lambda store: store.hidden_nodes)),
    Row("pybgpd_datastore_node_check_age_seconds", "Time since the daemon last checked that "
                                                    "it reads all needed Nodes.", False, (),
         _datastore(lambda store: store.node_check_age)),
    Row("pybgpd_datastore_snapshots", "Full snapshots read from the datastore; "
                                       "every one after the first follows a gap in "
                                       "the watch.", True, (), _datastore(lambda store: store.snapshots)),
    Row("pybgpd_held_objects", "Objects still in force although their source no "
                                "longer has them, because their removal is "
                                "implausible.", False, ("kind",),
         _several(("kind",), lambda f: [((kind,), count) for kind, count in f.held.items()])),
    Row("pybgpd_removal_holds", "Implausible removals that the daemon has held.", True, (),
         _one(lambda f: f.removal_holds)),
    Row("pybgpd_config_last_reload_successful", "0 if the daemon rejected the "
                                                 "configuration at the last reload, "
                                                 "otherwise 1.", False, (), _reload(lambda it: it.is_successful)),
    Row("pybgpd_config_last_reload_success_timestamp_seconds", "Unix time at which "
                                                                "the daemon read the "
                                                                "configuration in "
                                                                "force.", False, (), _reload(lambda it: it.success_time)),
    Row("pybgpd_config_pending_keys", "Changed configuration keys that take effect "
                                       "only at the next start.",
         False, (), _reload(lambda it: it.pending_keys)),
    Row("pybgpd_config_held_changes", "Changes of the configuration that end sessions "
                                      "and wait for consent.",
         False, (), _reload(lambda it: it.held_changes)),
    Row("pybgpd_config_confirmed", "0 while an applied configuration is taken back "
                                   "unless it is confirmed, otherwise 1.",
         False, (), _reload(lambda it: it.is_confirmed)),
    Row("pybgpd_loop_lag_worst_seconds", "Longest delay of the event loop in the "
                                          "last minute.", False, (), _one(lambda f: f.lag_worst)),
    Row("pybgpd_loop_lag_p99_seconds", "99th percentile of the event loop's delays "
                                        "in the last minute.", False, (),
         _one(lambda f: f.lag_p99)),
    Row("pybgpd_process_stalls", "How often the process stalled for 2 s or more.", True, (),
         _one(lambda f: f.process_stalls)),
    Row("pybgpd_process_stall_seconds", "Total time for which the process stalled.", True, (),
         _one(lambda f: f.process_stall_seconds)),
    Row("pybgpd_log_lines_lost", "Log lines lost because the reader was too slow or "
                                  "a write failed.", True, (), _one(lambda f: f.log_lines_lost)),
    Row("pybgpd_log_lines_suppressed", "Log lines suppressed as too frequent; "
                                     "summaries give their number.", True, (), _one(lambda f: f.log_lines_suppressed)),
    Row("pybgpd_mrt_files", "MRT files completed.", True, ("kind",),
         _several(("kind",), lambda f: [((each.kind,), each.files) for each in f.mrt])),
    Row("pybgpd_mrt_records", "MRT records written.", True, ("kind",),
         _several(("kind",), lambda f: [((each.kind,), each.records) for each in f.mrt])),
    Row("pybgpd_mrt_dropped_records", "MRT records dropped because the disk was too slow, full or gone.", True, ("kind",),
         _several(("kind",), lambda f: [((each.kind,), each.dropped) for each in f.mrt])),
    Row("pybgpd_mrt_errors", "Errors of the disk while MRT files were written.", True, ("kind",),
         _several(("kind",), lambda f: [((each.kind,), each.errors) for each in f.mrt])),
    Row("pybgpd_malformed_updates_kept", "Malformed UPDATE messages that show errors has, with "
                                         "their octets.", False, (), _one(lambda f: f.malformed_kept)),
    Row("pybgpd_malformed_updates_dropped", "Malformed UPDATE messages that are not kept any more, "
                                            "or never were.", True, (), _one(lambda f: f.malformed_dropped)),
    Row("pybgpd_rejected_connections", "Connections rejected because the source "
                                       "address matched no neighbour or range.", True, (),
         _one(lambda f: f.rejected_connections)),
    Row("pybgpd_warnings", "Current warnings for the operator.", False, (),
         _one(lambda f: f.warnings)),
    Row("pybgpd_object_warnings", "Problems with objects in the datastore.", False,
         ("object", "field"),
         _several(("object", "field"), lambda f: Counter(f.object_warnings).items())),
    Row("pybgpd_contained_faults", "Internal errors that affected one part of the "
                                    "daemon, which kept its previous state.", True, ("part",),
         _several(("part",), lambda f: [((part,), count) for part, count in f.contained_faults.items()])),
)
# fmt: on


def render(figures: Figures) -> Iterator[bytes]:
    """Yield the exposition in pieces, each a few milliseconds of work; some are empty.

    Costs some 0.4 us for a line.
    """
    snapshot = Snapshot(figures)
    for peer in figures.peers:
        if peer is not None:
            snapshot.read(peer)
        if peer is None or len(snapshot.peers) % _READ_SLICE == 0:
            yield b""
    yield from exposition(ROWS, snapshot)
    yield process_text()


def exposition(rows: Iterable[Row], snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the text of some metrics in pieces; most have ``SLICE`` lines or a few more."""
    made: list[str] = []
    for row in rows:
        name = row.full_name
        head = f"# HELP {name} {row.help}\n# TYPE {name} {row.kind}\n"
        for lines in row.lines(snapshot, name):
            if not lines:
                continue
            made.append(head)
            made += lines
            head = ""
            if len(made) >= SLICE:
                yield "".join(made).encode()
                made = []
    yield "".join(made).encode()
