"""The speakers around this one, as a drawing needs them.

A daemon knows its own sessions. Beyond them it knows what reflected routes say: a path that
an iBGP peer sent with ORIGINATOR_ID was advertised to that peer, a reflector, by the speaker
with this router ID (RFC 4456 8). So a client of two reflectors sees the other clients, each
behind the reflectors that pass its routes on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from bgpd.api.protocol import Arguments, Row
from bgpd.show.state import STATE_NAMES, DaemonView, dotted, peer_type_of
from bgpd.show.status import own_as
from bgpd.speaker.peer import Peer
from rib.path import Path, SourceKind
from rib.path_set import Entry, members_of

_YIELD_AFTER: Final = 4096  # prefixes counted between yield points, 0.3 ms


@dataclass(slots=True)
class _Originator:
    """A speaker that reflected routes name.

    Attributes:
        reflectors: Names of the peers that pass its routes on.
        route_count: Prefixes in Loc-RIB, of all families.
    """

    reflectors: set[str] = field(default_factory=set)
    route_count: int = 0


def topology(view: DaemonView, _: Arguments) -> Iterator[Row | None]:
    """Return a row for each speaker that is known: this one, its peers, and originators.

    Cost: a pass over the tables, in slices, where there are iBGP peers.
    """
    speaker = view.speaker
    originators: dict[int, _Originator] = {}
    for entry, count in _distinct_entries(view):
        if entry is None:
            yield None
            continue
        for originator, reflector in _reflections(entry):
            known = originators.setdefault(originator, _Originator())
            known.reflectors.add(reflector)
            known.route_count += count
    originators.pop(speaker.context.router_id, None)
    senders = {name for known in originators.values() for name in known.reflectors}
    yield _own_row(view)
    for peer in list(speaker.peers.values()):
        negotiated = peer.negotiated
        router_id = negotiated.peer_router_id if negotiated else None
        also = originators.pop(router_id, None) if router_id is not None else None
        yield _peer_row(peer, senders, also)
    for router_id, known in originators.items():
        yield _originator_row(view, router_id, known)


def _distinct_entries(view: DaemonView) -> Iterator[tuple[Entry | None, int]]:
    """Yield each distinct entry of the tables, and how many prefixes have it."""
    if not any(peer_type_of(p) != "ebgp" for p in view.speaker.peers.values()):
        return
    for tables in view.speaker.tables.values():
        counts: Counter[Entry] = Counter()
        entries = iter(list(tables.loc_rib.table.values()))
        while some := list(islice(entries, _YIELD_AFTER)):
            counts.update(some)
            yield None, 0
        for number, (entry, count) in enumerate(counts.items()):
            yield entry, count
            if number % _YIELD_AFTER == 0:
                yield None, 0


def _reflections(entry: Entry) -> Iterator[tuple[int, str]]:
    """Yield who advertised the paths of an entry first, and which peer reflected each."""
    found: dict[tuple[int, str], None] = {}
    path: Path
    for path in members_of(entry):
        if path.source.kind is SourceKind.IBGP:
            originator = path.attributes.originator_id
            if originator is not None:
                found[originator, path.source.name] = None
    yield from found


def _own_row(view: DaemonView) -> Row:
    context = view.speaker.context
    return {
        "node_type": "speaker",
        "name": view.process.node or dotted(context.router_id),
        "address": None,
        "router_id": dotted(context.router_id),
        "as": view.process.own_as() or own_as(view.speaker),
        "peer_type": None,
        "is_reflector": any(
            peer_type_of(p) == "client" for p in view.speaker.peers.values()
        ),
        "range": None,
        "state": None,
        "is_enabled": True,
        "is_stale": False,
        "accepted": sum(len(t.loc_rib) for t in view.speaker.tables.values()),
        "description": "",
        "reflectors": [],
    }


def _peer_row(peer: Peer, senders: set[str], also: _Originator | None) -> Row:
    settings, negotiated = peer.settings, peer.negotiated
    ribs = peer.ribs_in.values()
    return {
        "node_type": "peer",
        "name": settings.name,
        "address": settings.remote_addr,
        "router_id": dotted(negotiated.peer_router_id) if negotiated else None,
        "as": negotiated.peer_as if negotiated else settings.remote_as,
        "peer_type": peer_type_of(peer),
        "is_reflector": settings.name in senders,
        "range": peer.range_name or None,
        "state": STATE_NAMES[peer.state],
        "is_enabled": peer.driver.session.is_started,
        "is_stale": any(rib.stale_count for rib in ribs),
        "accepted": sum(rib.accepted_count for rib in ribs),
        "description": settings.description,
        "reflectors": sorted(also.reflectors) if also else [],
    }


def _originator_row(view: DaemonView, router_id: int, known: _Originator) -> Row:
    return {
        "node_type": "originator",
        "name": dotted(router_id),
        "address": None,
        "router_id": dotted(router_id),
        "as": view.process.own_as() or own_as(view.speaker),
        "peer_type": None,
        "is_reflector": False,
        "range": None,
        "state": None,
        "is_enabled": True,
        "is_stale": False,
        "accepted": known.route_count,
        "description": "",
        "reflectors": sorted(known.reflectors),
    }
