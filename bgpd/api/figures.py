"""Figures of the daemon at one moment: plain values, for metrics and the status over HTTP.

The daemon takes them; nothing here knows where they come from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from fib.routes import FibCounts


class StageTimes(NamedTuple):
    """How long prefixes took from their receipt to one stage.

    Attributes:
        stage: ``decided``, ``sent`` or ``installed``.
        counts: Prefixes up to each bound, and above the last; not cumulative.
        total: Sum of all their times in seconds.
    """

    stage: str
    counts: Sequence[int]
    total: float


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
        bounds: Upper bounds in seconds, of ``stages``.
        stages: How long prefixes took; empty while it is not measured.
    """

    family: str
    prefixes: int
    paths: int
    pending: int
    groups: int
    members: int
    slow_peers: int
    paced: int = 0
    bounds: Sequence[float] = ()
    stages: Sequence[StageTimes] = ()


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
        advertised: Routes advertised to it; ``None`` if they are not counted.
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
    advertised: int | None = None
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
        remote_as: Its AS; 0 while it is open.
        peer_type: ``client``, ``non-client`` or ``ebgp``.
        group: In ``peer_groups``; empty without.
        range_name: The range that a dynamic neighbour belongs to; empty for others.
        is_enabled: It is not shut down by an operator or a limit.
        established_at: When its session was established, seconds since 1970; ``None`` without.
        updates_received: UPDATE messages.
        updates_sent: UPDATE messages.
        notifications_received: By the name of the error code.
        notifications_sent: By the name of the error code.
        lacks_import_policy: It is external, and RFC 8212 rejects what it announces.
        lacks_export_policy: It is external, and RFC 8212 lets nothing be advertised to it.
        drained_since: Seconds since 1970; ``None`` if it is not drained.
        is_bfd_up: Its BFD session is up; ``None`` without one, or where that is unknown.
        bfd_failures: Of its BFD session; ``None`` without one.
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
    remote_as: int = 0
    peer_type: str = ""
    group: str = ""
    range_name: str = ""
    is_enabled: bool = True
    established_at: float | None = None
    updates_received: int = 0
    updates_sent: int = 0
    notifications_received: Mapping[str, int] = MappingProxyType({})
    notifications_sent: Mapping[str, int] = MappingProxyType({})
    lacks_import_policy: bool = False
    lacks_export_policy: bool = False
    drained_since: float | None = None
    is_bfd_up: bool | None = None
    bfd_failures: int | None = None


class RangeFigures(NamedTuple):
    """One range of dynamic neighbours.

    Attributes:
        name: As configured.
        prefix: Where its neighbours connect from.
        peers: Neighbours at present.
        limit: Most of them.
    """

    name: str
    prefix: str
    peers: int
    limit: int


@dataclass(frozen=True, slots=True)
class DatastoreFigures:
    """The datastore.

    Attributes:
        kind: ``etcd``, ``folder`` or ``memory``.
        is_connected: Changes would be noticed now.
        applied_revision: Of the newest event that was applied.
        lag_revisions: Revisions known to the source but not applied.
        snapshots: More than one means lost continuity.
        disconnected_seconds: Since when changes are not noticed; 0 while they are.
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
    disconnected_seconds: float = 0.0
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
        held_changes: Changes that wait for consent, since they end sessions.
        is_confirmed: No applied configuration waits for confirmation.
    """

    is_successful: bool
    success_time: float
    pending_keys: int
    held_changes: int = 0
    is_confirmed: bool = True


class MrtFigures(NamedTuple):
    """MRT files of one kind.

    Attributes:
        kind: ``rib`` or ``updates``.
        files: Completed.
        records: Written.
        dropped: Records that were not written.
        errors: Times that the disk refused something.
    """

    kind: str
    files: int
    records: int
    dropped: int
    errors: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The values of all metrics at one moment.

    Attributes:
        version: Of this program.
        uptime: Seconds since the start.
        session_states: Number of sessions in each state there is.
        peers: Each peer; the daemon makes them as they are read, some 10 us each, and
            ``None`` among them is a yield point.
        tables: Each family.
        rejected_connections: From addresses that belong to no peer.
        malformed_kept: Malformed UPDATEs that are kept.
        malformed_dropped: Those that are not, since the start.
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
        ranges: Each range of dynamic neighbours.
        omitted_peers: Peers beyond ``metrics.peers``, that ``peers`` leaves out.
        mrt: MRT files, by kind; empty where none were written.
    """

    version: str
    uptime: float
    session_states: Mapping[str, int]
    peers: Iterable[PeerFigures | None]
    tables: tuple[TableFigures, ...]
    rejected_connections: int = 0
    malformed_kept: int = 0
    malformed_dropped: int = 0
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
    ranges: tuple[RangeFigures, ...] = ()
    omitted_peers: int = 0
    mrt: tuple[MrtFigures, ...] = ()
