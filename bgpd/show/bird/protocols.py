"""``show protocols``: a row for each protocol, and all about it."""

from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from bgpd.api.bird import Line
from bgpd.session.counters import Counters
from bgpd.session.fsm import State
from bgpd.session.negotiation import Negotiated
from bgpd.session.timers import Timer
from bgpd.show.bird.export_counts import export_counts_of
from bgpd.show.bird.vocabulary import (
    DEVICE,
    DIRECT,
    KERNEL,
    STATIC,
    TABLE,
    error_of,
    moment,
    protocol_of,
    protocol_state_of,
    safe_name,
    state_of,
)
from bgpd.show.state import DaemonView, dotted
from bgpd.speaker.peer import Peer
from rib.family import Family
from rib.path import Source
from rib.path_set import best_of, paths_of

HEADING: Final = "name     proto    table    state  since       info"
_OWN: Final = {
    DEVICE: "Device",
    DIRECT: "Direct",
    KERNEL: "Kernel",
    STATIC: "Static",
}
_YIELD_AFTER: Final = 4096  # routes looked at between yield points
_NOT_COUNTED: Final = "---"

# What is counted of a table's routes: imported and preferred ones, by protocol.
Counts = tuple[Counter[str], Counter[str]]


def peers_of(view: DaemonView, family: Family) -> dict[str, Peer]:
    """Return the peers that carry a family, by the names of their protocols."""
    found = {
        safe_name(peer.settings.name): peer
        for peer in view.speaker.peers.values()
        if any(mine.family == family for mine in peer.settings.families)
    }
    return dict(sorted(found.items()))


def is_protocol(view: DaemonView, family: Family, name: str) -> bool:
    """Return whether a protocol has that name."""
    return name in _OWN or name in peers_of(view, family)


def show_protocols(
    view: DaemonView, family: Family, pattern: str, *, shows_all: bool
) -> Iterator[Line | None]:
    """Yield the answer to ``show protocols``; ``pattern`` empty is every protocol."""
    peers = peers_of(view, family)
    wanted = [
        name for name in (*_OWN, *peers) if not pattern or fnmatchcase(name, pattern)
    ]
    if not wanted:
        yield Line(8003, "No protocols match", is_last=True)
        return
    counts: Counts = (Counter(), Counter())
    exported: dict[Source, int] = {}
    if shows_all:
        yield from _count(view, family, counts)
        chosen = [peers[name].sources[family] for name in wanted if name in peers]
        yield from export_counts_of(view.speaker.tables[family], chosen, exported)
    yield Line(2002, HEADING)
    for name in wanted:
        peer = peers.get(name)
        row = _own_row(view, name) if peer is None else _peer_row(view, name, peer)
        yield Line(1002, row)
        if not shows_all:
            continue
        if peer is None:
            yield from _own_details(name, counts)
        else:
            told = exported.get(peer.sources[family], 0)
            yield from _peer_details(view, name, peer, counts, told)
        yield Line(1006, "")
    yield Line(0, is_last=True)


def _row(name: str, kind: str, state: str, since: str, info: str) -> str:
    return f"{name:<8s} {kind:<8s} {TABLE:<8s} {state:<5s}  {since:<10s}  {info}"


def _own_row(view: DaemonView, name: str) -> str:
    return _row(name, _OWN[name], "up", moment(view.started_at, view.now), "")


def _peer_row(view: DaemonView, name: str, peer: Peer) -> str:
    counters = peer.driver.session.counters
    info = f"{state_of(peer):<14s}{error_of(peer)}"
    since = moment(_since(view, counters), view.now)
    return _row(name, "BGP", protocol_state_of(peer), since, info)


def _since(view: DaemonView, counters: Counters) -> float:
    if counters.established_since is not None:
        return counters.established_since
    return view.started_at if counters.last_down_at is None else counters.last_down_at


def _count(view: DaemonView, family: Family, counts: Counts) -> Iterator[None]:
    """Count every protocol's routes in one pass over the table."""
    imported, preferred = counts
    entries = Counter(view.speaker.tables[family].loc_rib.table.values())
    for number, (entry, prefixes) in enumerate(entries.items()):
        if number % _YIELD_AFTER == 0:
            yield None
        for path in paths_of(entry):
            imported[protocol_of(path.source)] += prefixes
        best = best_of(entry)
        if best is not None:
            preferred[protocol_of(best.source)] += prefixes


# -- in full ------------------------------------------------------------------------------


def _own_details(name: str, counts: Counts) -> Iterator[Line]:
    imported, preferred = counts
    preference = {DIRECT: 240, STATIC: 200, KERNEL: 10}.get(name, 0)
    yield Line(1006, f"  Preference:     {preference}")
    yield Line(1006, "  Input filter:   ACCEPT")
    is_kernel = name == KERNEL
    yield Line(1006, f"  Output filter:  {'(unnamed)' if is_kernel else 'REJECT'}")
    yield Line(1006, _routes_line(imported[name], "0", preferred[name]))


def _routes_line(imported: int, exported: str, preferred: int) -> str:
    return (
        f"  Routes:         {imported} imported, {exported} exported,"
        f" {preferred} preferred"
    )


def _peer_details(
    view: DaemonView, name: str, peer: Peer, counts: Counts, told: int
) -> Iterator[Line]:
    imported, preferred = counts
    settings = peer.settings
    yield Line(1006, f"  Description:    {settings.description or 'BGP peer'}")
    yield Line(1006, "  Preference:     100")
    for title, policy in (
        ("Input filter:", settings.import_policy),
        ("Output filter:", settings.export_policy),
    ):
        shown = "ACCEPT" if policy in ("", "accept-all") else policy
        yield Line(1006, f"  {title:<15s} {shown}")
    if peer.state is State.ESTABLISHED:
        line = _routes_line(imported[name], str(told), preferred[name])
        yield Line(1006, line)
        yield from _changes(peer)
    yield Line(1006, f"  BGP state:          {state_of(peer)}")
    address, _, device = settings.remote_addr.partition("%")
    suffix = f"%{device}" if device else ""
    yield Line(1006, f"    Neighbor address: {address}{suffix}")
    negotiated = peer.negotiated
    asn = negotiated.peer_as if negotiated else settings.accepted_as
    yield Line(1006, f"    Neighbor AS:      {asn}")
    if peer.stale_family_count:
        yield Line(1006, "    Neighbor graceful restart active")
    if peer.negotiated is not None:
        yield from _established(view, peer, peer.negotiated)
    else:
        deadline = peer.driver.session.next_deadline()
        if deadline is not None and peer.driver.session.is_started:
            left = max(0, round(deadline - view.now))
            total = settings.connect_retry_time
            yield Line(1006, f"    Connect delay:    {left}/{max(left, total)}")
    if error := error_of(peer):
        yield Line(1006, f"    Last error:       {error}")


def _changes(peer: Peer) -> Iterator[Line]:
    """Yield the table of route changes: UPDATEs are counted, single changes are not."""
    counters = peer.driver.session.counters
    received, sent = counters.received[2], counters.sent[2]
    none = f" {_NOT_COUNTED:>10s}"
    yield Line(
        1006,
        "  Route change stats:     received   rejected   filtered    ignored   accepted",
    )
    yield Line(1006, f"    Import updates:     {received:10d}{none * 4}")
    yield Line(1006, f"    Import withdraws:   {_NOT_COUNTED:>10s}{none * 4}")
    yield Line(1006, f"    Export updates:     {sent:10d}{none * 4}")
    yield Line(1006, f"    Export withdraws:   {_NOT_COUNTED:>10s}{none * 4}")


def _established(
    view: DaemonView, peer: Peer, negotiated: Negotiated
) -> Iterator[Line]:
    settings = peer.settings
    theirs = negotiated.peer
    graceful = theirs.graceful_restart
    restart = "" if graceful is None else "restart-aware"
    if graceful is not None and graceful.families:
        restart = "restart-able"
    caps = (
        ("refresh", theirs.has_route_refresh),
        ("enhanced-refresh", theirs.has_enhanced_refresh),
        (restart, bool(restart)),
        ("llgr-aware", theirs.long_lived is not None),
        ("AS4", theirs.four_octet_as is not None),
        ("add-path-rx", bool(negotiated.add_path_send)),
        ("add-path-tx", bool(negotiated.add_path_receive)),
        ("ext-messages", theirs.has_extended_message),
    )
    session = (
        ("internal" if negotiated.is_ibgp else "external", True),
        ("multihop", negotiated.is_ibgp or settings.multihop_ttl > 1),
        ("route-reflector", settings.is_client),
        ("AS4", negotiated.four_octet_as),
        ("add-path-rx", bool(negotiated.add_path_receive)),
        ("add-path-tx", bool(negotiated.add_path_send)),
        ("ext-messages", negotiated.max_message_len > 4096),
    )
    yield Line(1006, f"    Neighbor ID:      {dotted(negotiated.peer_router_id)}")
    yield Line(1006, f"    Neighbor caps:    {_words(caps)}")
    yield Line(1006, f"    Session:          {_words(session)}")
    source = peer.driver.session.local_addr or settings.local_addr
    yield Line(1006, f"    Source address:   {source.partition('%')[0]}")
    for title, timer, total in (
        ("Hold timer:", Timer.HOLD, negotiated.hold_time),
        ("Keepalive timer:", Timer.KEEPALIVE, round(negotiated.keepalive_time)),
    ):
        deadline = peer.driver.session.deadline(timer)
        left = 0 if deadline is None else max(0, round(deadline - view.now))
        yield Line(1006, f"    {title:<17s} {left}/{total}")


def _words(claims: tuple[tuple[str, bool], ...]) -> str:
    return " ".join(word for word, holds in claims if holds)
