"""``show status`` and ``show groups``: the daemon as a whole, and its update groups."""

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from bgpd import __version__
from bgpd.api.protocol import Arguments, Row
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.runtime.build import build
from bgpd.session.fsm import State
from bgpd.show.daemon_state import ClusterState
from bgpd.show.drain import drain_row
from bgpd.show.state import (
    SHOWN_NAMES,
    STATE_NAMES,
    DaemonView,
    dotted,
    find_families,
)
from bgpd.speaker.export_context import next_hop_mode
from bgpd.speaker.speaker import Speaker
from bgpd.texts.moments import utc
from reflector.group import UpdateGroup
from reflector.member_fsm import Member
from rib.attributes.text import format_next_hop

if TYPE_CHECKING:  # a reflector loads no datastore
    from bgpd.datastore.model import NodesRead


def status(view: DaemonView, _: Arguments) -> Row:
    """Return the daemon's state in one object."""
    speaker, cluster = view.speaker, view.cluster
    states = Counter(STATE_NAMES[peer.state] for peer in speaker.peers.values())
    # Once for all ranges: there may be 20 of them, and 5,000 peers.
    members = Counter(peer.range_name for peer in speaker.peers.values())
    return {
        "is_started": True,
        "awaited": None,
        "version": __version__,
        "build": build(),
        "python": platform.python_version(),
        "event_loop": type(speaker.loop).__module__.partition(".")[0],
        "node": view.process.node or None,
        "router_id": dotted(speaker.context.router_id),
        "cluster_id": dotted(speaker.context.numbers.cluster_id),
        "as": view.process.own_as() or own_as(speaker),
        "started_at": view.wall_time(view.started_at),
        "uptime": int(view.now - view.started_at),
        "listening": [
            {"address": address, "port": port}
            for address, port in speaker.listener.addresses
        ],
        "rejected_connections": speaker.incoming.rejected_count,
        "peers": {
            "total": len(speaker.peers),
            "established": states[STATE_NAMES[State.ESTABLISHED]],
            "states": dict(states),
        },
        "ranges": [
            {
                "name": settings.name,
                "prefix": settings.prefix,
                "peers": members[settings.name],
                "limit": settings.limit,
            }
            for settings in speaker.neighbours.ranges.values()
        ],
        "families": [_family(tables) for tables in speaker.tables.values()],
        "selection_deferral": deferral_row(view),
        "drain": drain_row(view),
        "background_jobs": len(speaker.work_queue),
        "fib": None if view.kernel.fib is None else _fib(view),
        "datastore": None
        if cluster is None
        else datastore_row(cluster, view.wall_time),
        "removal_holds": [] if cluster is None else cluster.holds.rows(view.wall_time),
        "kubernetes": None if cluster is None else asdict(cluster.kubernetes),
        "loop_lag": None if view.lag is None else round(view.lag.worst(), 4),
        "memory": resident_octets(),
        "configuration": None
        if view.configuration is None
        else view.configuration.row(),
        "warnings": list(view.process.warnings()),
    }


def deferral_row(view: DaemonView) -> Row | None:
    """Return the progress of selection deferral; ``None`` when it is over."""
    report = view.process.recovery()
    if report is None:
        return None
    peers = view.speaker.peers
    names = [peers[who].settings.name for who in report.awaited if who in peers]
    return {
        "elapsed": round(report.progress.elapsed, 1),
        "limit": round(report.progress.cap, 1),
        "defers_routes": list(map(str, report.deferred_routes)),
        "defers_end_of_rib": list(map(str, report.deferred_end_of_rib)),
        "awaited_count": len(report.awaited),
        "awaited": names[:SHOWN_NAMES],
    }


def own_as(speaker: Speaker) -> int | None:
    """Return our AS as most peers see it."""
    settings = [peer.settings for peer in speaker.peers.values()]
    settings += [entry.template for entry in speaker.neighbours.ranges.values()]
    numbers = Counter(some.local_as for some in settings)
    return numbers.most_common(1)[0][0] if numbers else None


def _family(tables: FamilyTables) -> Row:
    return {
        "family": str(tables.family),
        "prefixes": len(tables.loc_rib),
        "paths": sum(tables.loc_rib.path_counts.values()),
        "pending": tables.pending_count,
        "paced": tables.pacing.held_count,
        "update_groups": len(tables.groups),
    }


def _fib(view: DaemonView) -> Row:
    if view.kernel.fib is None:
        return {}
    return {**asdict(view.kernel.fib.counts), "is_synced": view.kernel.fib.is_synced}


def datastore_row(cluster: ClusterState, wall_time: Callable[[float], str]) -> Row:
    """Return the state of the datastore."""
    found = cluster.status
    return {
        "kind": found.kind,
        "source": found.source,
        "is_connected": found.is_connected,
        "since": wall_time(found.since),
        "applied_revision": found.applied_revision,
        "server_revision": found.server_revision,
        "lag_revisions": found.lag_revisions,
        "last_error": found.last_error or None,
        "snapshots": found.snapshots,
        "saved_at": utc(found.saved_at) if found.saved_at else None,
        "nodes": None if found.nodes is None else _nodes(found.nodes),
        "warnings": list(found.warnings),
    }


def _nodes(found: "NodesRead") -> Row:
    return {
        **asdict(found),
        "names": list(found.names),
        "selectors": list(found.selectors),
        "hidden": list(found.hidden),
        "checked_at": utc(found.checked_at) if found.checked_at else None,
    }


def resident_octets() -> int | None:
    """Return the memory of the process; ``None`` if /proc does not show it."""
    try:
        lines = FilePath("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(sizes[0]) * 1024 if sizes else None


def groups(view: DaemonView, arguments: Arguments) -> Iterator[Row]:
    """Return a row for each update group.

    Raises:
        ControlError: ``bad-argument``.
    """
    families = find_families(arguments)
    tables = view.speaker.tables
    return (
        _group(tables[family], group)
        for family in families
        for group in list(tables[family].groups.values())
    )


def _group(tables: FamilyTables, group: UpdateGroup) -> Row:
    context = group.export.context
    members = list(group.members.values())
    return {
        "family": str(group.family),
        "peer_type": context.peer_type.value,
        "policy": context.policy,
        "local_as": context.local_as,
        "local_address": format_next_hop(context.local_address) or None,
        "cluster_id": dotted(context.cluster_id) if context.cluster_id else None,
        "next_hop": next_hop_mode(context).value,
        "also_prepends": context.as_path.hidden_as or None,
        "as_override": context.as_path.overrides_peer_as,
        "remove_private_as": context.as_path.private.value,
        "replace_private_as": context.as_path.replaces_private,
        "add_path_max": context.add_path_max,
        "paced": len(group.pacer.held),
        "four_octet_as": context.four_octet_as,
        "extended_next_hop": context.extended_next_hop,
        "max_message_len": context.max_message_len,
        "role": context.role or None,
        "same_domain": context.is_same_domain,
        "is_drained": context.is_drained,
        "members": [member.source.name for member in members],
        "slow_peers": [_slow_peer(tables, m) for m in members if _is_slow(m)],
        "pending": tables.pending_count,
        "oversized": group.oversized_count,
        "defers_routes": group.export.defers_peer_routes,
        "defers_end_of_rib": tables.defers_end_of_rib,
        "pending_re_advertisement": group.pending_re_advertisement_count,
    }


def _is_slow(member: Member) -> bool:
    return member.is_slow or member.has_pending


def _slow_peer(tables: FamilyTables, member: Member) -> Row:
    return {
        "peer": member.source.name,
        "pending": len(member.pending_changes),
        "pending_walk": member.pending_walk_size(len(tables.loc_rib)),
    }
