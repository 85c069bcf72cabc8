"""``show peers``: sessions as rows, and one peer in detail."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

from bgpd.api.protocol import Arguments, Row
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.session.events import DownReason
from bgpd.session.fsm import State
from bgpd.session.negotiation import Negotiated
from bgpd.session.settings import FamilySettings
from bgpd.show.advertised_counts import export_counts_of
from bgpd.show.drain import drain_of
from bgpd.show.state import (
    STATE_NAMES,
    DaemonView,
    dotted,
    find_peer,
    peer_type_of,
)
from bgpd.speaker.peer import Peer
from bgpd.speaker.prefix_limits import limits_of, outgoing_limit_of
from bgpd.wire.capabilities import Capabilities, Role
from bgpd.wire.framing import MessageType
from bgpd.worker.turns import in_turns
from reflector.advertised_limit import AdvertisedLimit
from reflector.member_fsm import Member
from rib.adj_rib_in import AdjRibIn
from rib.family import Family
from rib.nlri import parse_address
from rib.path import Source

_Advertised = dict[Source, int]
_Place = tuple[bool, int, bytes, str]
_YIELD_AFTER: Final = 256  # peers looked at between yield points, 0.7 ms
_WAITING: Final = frozenset({State.IDLE, State.CONNECT, State.ACTIVE})


async def peer(view: DaemonView, arguments: Arguments) -> Row:
    """Return everything about one peer.

    Raises:
        ControlError: ``no-such-peer``.
    """
    found = find_peer(view.speaker, arguments["peer"])
    counts: _Advertised = {}
    await in_turns(_count_advertised(view, (found,), counts))
    return {**_detail(view, found, counts), "bfd_session": await _bfd_row(view, found)}


def peers(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return a row for each peer that the arguments want, in the order they want."""
    keyed: list[tuple[_Place, Peer]] = []
    for number, peer in enumerate(list(view.speaker.peers.values())):
        if _fits(peer, arguments):
            keyed.append((_order(peer), peer))
        if number % _YIELD_AFTER == 0:
            yield None
    keyed.sort(key=itemgetter(0))
    listed = [peer for _, peer in keyed]
    if sort := arguments.get("sort"):
        yield None
        listed.sort(key=partial(_SORT_KEYS[sort], view))
    if arguments.get("brief"):
        yield from (_brief(view, peer) for peer in listed)
    else:
        yield from _summaries(view, listed)


def _summaries(view: DaemonView, listed: Sequence[Peer]) -> Iterator[Row | None]:
    counts: _Advertised = {}
    yield from _count_advertised(view, listed, counts)
    for peer in listed:
        yield _summary(view, peer, counts)


def _count_advertised(
    view: DaemonView, listed: Iterable[Peer], counts: _Advertised
) -> Generator[None, None, None]:
    """Count the routes advertised to some peers."""
    for family, tables in view.speaker.tables.items():
        sources = [peer.sources[family] for peer in listed if family in peer.sources]
        yield from export_counts_of(tables, sources, counts)


def _fits(peer: Peer, arguments: Arguments) -> bool:
    state = STATE_NAMES[peer.state].lower()
    states = arguments.get("state", ())
    groups, ranges = arguments.get("group", ()), arguments.get("range", ())
    nodes = arguments.get("node", ())
    is_up = peer.state is State.ESTABLISHED
    return (
        (not states or state in states)
        and not (is_up and arguments.get("down"))
        and (not groups or peer.settings.group in groups)
        and (not ranges or peer.range_name in ranges)
        and (not nodes or peer.settings.node in nodes)
    )


def _uptime_first(view: DaemonView, peer: Peer) -> float:
    since = peer.driver.session.counters.established_since
    return view.now if since is None else since


def _most_received_first(_: DaemonView, peer: Peer) -> int:
    return -sum(rib.received_count for rib in peer.ribs_in.values())


_SORT_KEYS: Final[Mapping[str, Callable[[DaemonView, Peer], Any]]] = MappingProxyType(
    {
        "name": lambda _, peer: peer.settings.name,
        "address": lambda _, peer: _order(peer)[1:],
        "state": lambda _, peer: STATE_NAMES[peer.state],
        "uptime": _uptime_first,
        "received": _most_received_first,
        "flaps": lambda _, peer: -peer.driver.session.counters.flaps,
    }
)


def _order(peer: Peer) -> _Place:
    """Configured ones first, each kind by address."""
    address, _, zone = peer.settings.remote_addr.partition("%")
    octets = parse_address(address)
    return bool(peer.range_name), len(octets), octets, zone


def _summary(view: DaemonView, peer: Peer, counts: _Advertised) -> Row:
    families = _families(view, peer, counts)
    return {
        **_brief(view, peer),
        "families": families,
        "advertised": sum(each["advertised"] for each in families),
    }


def _brief(view: DaemonView, peer: Peer) -> Row:
    session, settings = peer.driver.session, peer.settings
    counters, negotiated = session.counters, peer.negotiated
    now = view.now
    since = counters.established_since
    if since is None:
        since = counters.last_reset_at
    deadline = session.next_deadline() if session.state in _WAITING else None
    return {
        "name": settings.name,
        "address": settings.remote_addr,
        "remote_as": negotiated.peer_as if negotiated else settings.remote_as,
        "local_as": peer.in_force.local_as,
        "peer_type": peer_type_of(peer),
        "range": peer.range_name,
        "group": settings.group or None,
        "remote_node": settings.node or None,
        "state": STATE_NAMES[session.state],
        "is_enabled": session.is_started or peer.awaits_bfd,
        "disabled_by": _disabled_by(peer),
        **drain_of(view, peer),
        "is_awaited": _is_awaited(view, peer),
        "since": _wall_time(view, since),
        "uptime": (
            None
            if counters.established_since is None
            else int(now - counters.established_since)
        ),
        "is_stale": any(rib.stale_count for rib in peer.ribs_in.values()),
        "received": sum(rib.received_count for rib in peer.ribs_in.values()),
        "accepted": sum(rib.accepted_count for rib in peer.ribs_in.values()),
        "filtered": sum(len(rib.filtered) for rib in peer.ribs_in.values()),
        "hold_time": negotiated.hold_time if negotiated else settings.hold_time,
        "messages_in": sum(counters.received),
        "messages_out": sum(counters.sent),
        "flaps": counters.flaps,
        "malformed_updates": peer.imports.errors.count,
        "import_policy": _policy(view, peer, is_import=True),
        "export_policy": _policy(view, peer, is_import=False),
        "bfd": _bfd_state(view, peer),
        "last_reset": _text(counters.last_reset),
        "last_attempt": _text(counters.last_attempt),
        "next_retry": None if deadline is None else round(max(0.0, deadline - now), 1),
    }


def _bfd_state(view: DaemonView, peer: Peer) -> str | None:
    """Return the state of a peer's BFD session."""
    sessions = view.speaker.neighbours.bfd
    if sessions is None:
        return None
    session = sessions.sessions.get(peer.settings.remote_addr)
    return None if session is None else session.state_name


async def _bfd_row(view: DaemonView, peer: Peer) -> Row | None:
    """Return all about a peer's BFD session."""
    sessions = view.speaker.neighbours.bfd
    session = sessions and sessions.sessions.get(peer.settings.remote_addr)
    if not sessions or not session:
        return None
    from bgpd.show.bfd import row_of  # noqa: PLC0415  # few have it

    return row_of(view, peer, session, await sessions.counts())


def _disabled_by(peer: Peer) -> str | None:
    """Return the limit that disabled a peer."""
    limits = peer.limits
    if not limits.is_disabled or limits.exceeded is None:
        return None
    return limits.exceeded.key


def _text(reason: DownReason | None) -> str | None:
    return None if reason is None else str(reason)


def _wall_time(view: DaemonView, moment: float | None) -> str | None:
    return None if moment is None else view.wall_time(moment)


def _policy(view: DaemonView, peer: Peer, *, is_import: bool) -> str | None:
    """Return the name of the policy in force; ``None`` while the peer's AS is open."""
    settings, negotiated = peer.settings, peer.negotiated
    is_ibgp = negotiated.is_ibgp if negotiated else settings.is_internal
    if is_ibgp is None:
        return (settings.import_policy if is_import else settings.export_policy) or None
    policies = view.speaker.context.policies
    find = policies.import_of if is_import else policies.export_of
    return find(settings, is_ibgp=is_ibgp).name


def _families(view: DaemonView, peer: Peer, counts: _Advertised) -> list[Row]:
    offered = {mine.family: mine for mine in peer.settings.families}
    negotiated = peer.negotiated.families if peer.negotiated else frozenset()
    return [
        {
            "family": str(family),
            "is_negotiated": family in negotiated,
            **_limits(offered.get(family)),
            **_counts(view, peer, family, counts),
        }
        for family in sorted({*offered, *negotiated, *peer.ribs_in})
    ]


def _limits(mine: FamilySettings | None) -> Row:
    if mine is None:
        return {"max_prefixes": 0, "max_received": 0, "max_advertised": 0}
    limits: Row = {
        "max_prefixes": mine.max_prefixes,
        "max_received": mine.max_received,
        "max_advertised": mine.max_advertised,
    }
    outgoing = outgoing_limit_of(mine)
    for limit in (*limits_of(mine), *((outgoing,) if outgoing else ())):
        limits[f"{limit.key}_action"] = limit.action.value
    return limits


def _counts(view: DaemonView, peer: Peer, family: Family, counts: _Advertised) -> Row:
    rib = peer.ribs_in.get(family)
    tables = view.speaker.tables.get(family)
    member = None if tables is None else tables.member(peer.sources[family])
    return {
        "received": 0 if rib is None else rib.received_count,
        "accepted": 0 if rib is None else rib.accepted_count,
        "filtered": 0 if rib is None else len(rib.filtered),
        "blocked": 0 if rib is None else len(rib.admission.blocked),
        **_advertised(peer.exports.limit(family), counts.get(peer.sources[family], 0)),
        "stale": 0 if rib is None else rib.stale_count,
        "ignored": {} if rib is None else _ignored(rib),
        **_stale_phase(peer, family),
        "end_of_rib_received": family in peer.imports.ended_families,
        "is_slow": member is not None and member.is_slow,
        "pending": _pending_count(tables, member),
        **_deferred(view, peer, family),
    }


def _advertised(limit: AdvertisedLimit | None, counted: int) -> Row:
    return {
        "advertised": counted if limit is None else len(limit.advertised),
        "excess": 0 if limit is None else len(limit.waiting),
    }


def _pending_count(tables: FamilyTables | None, member: Member | None) -> int:
    """Return how many prefixes wait for a slow peer."""
    if tables is None or member is None:
        return 0
    walk = member.pending_walk_size(len(tables.loc_rib))
    return len(member.pending_changes) + walk


def _stale_phase(peer: Peer, family: Family) -> Row:
    """Return the time left of stale routes."""
    known = peer.imports.stale.phase(family)
    if known is None:
        return {"stale_phase": None, "stale_time_left": None}
    phase, left = known
    return {"stale_phase": phase.value, "stale_time_left": round(max(0.0, left), 1)}


def _ignored(rib: AdjRibIn) -> Row:
    """Return how many prefixes were ignored as not unicast, by kind."""
    return {why.value: ignored.count for why, ignored in rib.ignored.items()}


def _deferred(view: DaemonView, peer: Peer, family: Family) -> Row:
    """Return what is deferred for a peer until our restart is complete."""
    tables = view.speaker.tables.get(family)
    source = peer.sources.get(family)
    group = None if tables is None or source is None else tables.group_of(source)
    if tables is None or group is None:
        return {"defers_routes": False, "defers_end_of_rib": False}
    return {
        "defers_routes": group.export.defers_peer_routes,
        "defers_end_of_rib": tables.defers_end_of_rib,
    }


def _is_awaited(view: DaemonView, peer: Peer) -> bool:
    """Whether our End-of-RIB waits for a peer after our restart."""
    report = view.process.recovery()
    return report is not None and peer.settings.remote_addr in report.awaited


def _detail(view: DaemonView, peer: Peer, counts: _Advertised) -> Row:
    session, settings = peer.driver.session, peer.settings
    counters = session.counters
    negotiated = peer.negotiated
    return {
        **_summary(view, peer, counts),
        "description": settings.description,
        "router_id": dotted(negotiated.peer_router_id) if negotiated else None,
        "accepted_as": settings.accepted_as,
        "hostname": negotiated.peer_hostname if negotiated else "",
        "local_address": session.local_addr or settings.local_addr or None,
        "port": settings.port,
        "is_passive": settings.is_passive or bool(peer.range_name),
        "has_password": bool(settings.password),
        "ttl_security_hops": settings.ttl_security_hops,
        "next_hop": settings.next_hop.value,
        "default_originate": view.speaker.context.policies.originates_default(settings),
        "cluster_id": (
            dotted(view.speaker.context.numbers.cluster_id_of(settings))
            if settings.is_client
            else None
        ),
        "stale_families": peer.stale_family_count,
        "messages": {
            kind.name.lower().replace("_", "-"): {
                "received": counters.received[kind],
                "sent": counters.sent[kind],
            }
            for kind in MessageType
        },
        "octets_received": counters.octets_received,
        "connect_attempts": counters.connect_attempts,
        "rejected_connections": counters.rejected_connections,
        "established_transitions": counters.established_count,
        "last_reset_at": _wall_time(view, counters.last_reset_at),
        "last_attempt_at": _wall_time(view, counters.last_attempt_at),
        **_session_details(view, peer),
        "negotiated": None if negotiated is None else _negotiated(negotiated),
        "capabilities": (
            None
            if negotiated is None
            else {
                "sent": _capabilities(negotiated.local),
                "received": _capabilities(negotiated.peer),
            }
        ),
    }


def _session_details(view: DaemonView, peer: Peer) -> Row:
    from bgpd.show.peer_session import (  # noqa: PLC0415  # of one peer's page alone
        connection_of,
        notification_row,
        timers_of,
    )

    session, settings = peer.driver.session, peer.settings
    noted = session.counters.notifications
    return {
        **connection_of(peer),
        "timers": timers_of(session, view.now),
        "last_notification_sent": notification_row(noted.last_sent, view.wall_time),
        "last_notification_received": notification_row(
            noted.last_received, view.wall_time
        ),
        "is_default_import_policy": not settings.import_policy,
        "is_default_export_policy": not settings.export_policy,
    }


def _names(families: frozenset[Family]) -> list[str]:
    return [str(family) for family in sorted(families)]


def _negotiated(agreed: Negotiated) -> Row:
    graceful = agreed.graceful_restart
    return {
        "families": _names(agreed.families),
        "hold_time": agreed.hold_time,
        "keepalive_time": round(agreed.keepalive_time, 3),
        "four_octet_as": agreed.four_octet_as,
        "route_refresh": agreed.has_route_refresh,
        "enhanced_route_refresh": agreed.has_enhanced_refresh,
        "max_message_len": agreed.max_message_len,
        "add_path_receive": _names(agreed.add_path_receive),
        "add_path_send": _names(agreed.add_path_send),
        "extended_next_hop": _names(agreed.extended_next_hop),
        "graceful_restart_time": graceful.restart_time if graceful else None,
        "graceful_restart_families": (
            [str(family) for family, _ in graceful.families] if graceful else []
        ),
        "notification_restart": agreed.has_notification_restart,
        "long_lived_stale_times": {
            str(row.family): row.stale_time for row in agreed.long_lived
        },
        "local_role": _role(agreed.local_role),
        "peer_role": _role(agreed.peer_role),
    }


def _role(role: Role | None) -> str | None:
    return None if role is None else role.name.lower().replace("_", "-")


def _capabilities(caps: Capabilities) -> Mapping[str, Any]:
    """Return what one side's OPEN offered; what is absent is left out."""
    graceful = caps.graceful_restart
    known: Row = {
        "families": [str(family) for family in caps.families],
        "route_refresh": caps.has_route_refresh,
        "enhanced_route_refresh": caps.has_enhanced_refresh,
        "extended_message": caps.has_extended_message,
        "extended_next_hop": [str(family) for family, _ in caps.extended_next_hop],
        "role": caps.role,
        "four_octet_as": caps.four_octet_as,
        "add_path": {str(f): mode.name.lower() for f, mode in caps.add_path},
        "graceful_restart": (
            None
            if graceful is None
            else {
                "is_restarting": graceful.is_restarting,
                "notification": graceful.has_notification,
                "restart_time": graceful.restart_time,
                "families": {str(f): is_kept for f, is_kept in graceful.families},
            }
        ),
        "long_lived": {
            str(row.family): row.stale_time for row in caps.long_lived or ()
        },
        "hostname": caps.hostname,
        "unknown": [code for code, _ in caps.unknown],
    }
    return {k: v for k, v in known.items() if v or (k == "role" and v is not None)}
