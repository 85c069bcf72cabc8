"""``show protocols``: a row for each protocol, and all about it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from bgpd.api.bird import Line
from bgpd.pipeline.local_sources import BGP_PREFERENCE
from bgpd.session.counters import Counters
from bgpd.session.fsm import State
from bgpd.session.negotiation import Negotiated
from bgpd.session.timers import Timer
from bgpd.show.advertised_counts import export_counts_of
from bgpd.show.bird.dialect import Dialect
from bgpd.show.bird.vocabulary import (
    DEVICE,
    DIRECT,
    KERNEL,
    STATIC,
    TABLE,
    error_of,
    fits,
    protocol_of,
    protocol_state_of,
    safe_name,
    state_of,
)
from bgpd.show.state import DaemonView, dotted
from bgpd.speaker.peer import Peer
from bgpd.wire.capabilities import Capabilities
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.path import Source
from rib.path_set import best_of, paths_of

HEADINGS: Final = (
    "name     proto    table    state  since       info",
    "Name       Proto      Table      State  Since         Info",
)
NO_TABLE: Final = "---"
OWN: Final = {
    DEVICE: "Device",
    DIRECT: "Direct",
    KERNEL: "Kernel",
    STATIC: "Static",
}
OWN_PREFERENCES: Final = {DIRECT: 240, STATIC: 200, KERNEL: 10}
_AFIS: Final = {IPV4_UNICAST: "ipv4", IPV6_UNICAST: "ipv6"}
_YIELD_AFTER: Final = 4096  # routes looked at between yield points
_NOT_COUNTED: Final = "---"


def peers_of(view: DaemonView, family: Family) -> dict[str, Peer]:
    """Return the peers that carry a family, by the names of their protocols."""
    return _named(
        peer
        for peer in view.speaker.peers.values()
        if any(mine.family == family for mine in peer.settings.families)
    )


def _named(peers: Iterable[Peer]) -> dict[str, Peer]:
    found: dict[str, Peer] = {}
    for peer in peers:
        name = safe_name(peer.settings.name)
        if name in found:  # two names differ in a sign that BIRD has not
            name = f"{name}_{len(found)}"
        found[name] = peer
    return dict(sorted(found.items()))


def is_protocol(view: DaemonView, family: Family, name: str) -> bool:
    """Return whether a protocol has that name."""
    return name in OWN or safe_name(name) in peers_of(view, family)


class Counts:
    """Routes by protocol: what each has imported, and how many of them are selected.

    Attributes:
        imported: In the table.
        preferred: Those that are selected.
        exported: Advertised to a peer.
    """

    def __init__(self) -> None:
        self.imported: Counter[str] = Counter()
        self.preferred: Counter[str] = Counter()
        self.exported: dict[Source, int] = {}

    def count(
        self, view: DaemonView, family: Family, peers: Iterable[Peer]
    ) -> Iterator[None]:
        """Count one table's routes in one pass, and those exported to some peers."""
        tables = view.speaker.tables[family]
        entries = Counter(tables.loc_rib.table.values())
        for number, (entry, prefixes) in enumerate(entries.items()):
            if number % _YIELD_AFTER == 0:
                yield None
            for path in paths_of(entry):
                self.imported[protocol_of(path.source)] += prefixes
            best = best_of(entry)
            if best is not None:
                self.preferred[protocol_of(best.source)] += prefixes
        chosen = [peer.sources[family] for peer in peers if family in peer.sources]
        yield from export_counts_of(tables, chosen, self.exported)


def show_protocols(
    view: DaemonView, dialect: Dialect, pattern: str, *, shows_all: bool
) -> Iterator[Line | None]:
    """Yield the answer to ``show protocols``; ``pattern`` empty is every protocol."""
    peers = shown_peers(view, dialect)
    wanted = [
        name
        for name in (*OWN, *peers)
        if not pattern
        or fits(name, pattern)
        or (name in peers and peers[name].settings.name == pattern)
    ]
    if not wanted:
        yield Line(8003, "No protocols match", is_last=True)
        return
    counts: dict[Family, Counts] = {family: Counts() for family in dialect.families}
    if shows_all:
        for family, each in counts.items():
            chosen = [peers[name] for name in wanted if name in peers]
            yield from each.count(view, family, chosen)
    yield Line(2002, HEADINGS[dialect.is_second])
    for name in wanted:
        peer = peers.get(name)
        yield Line(1002, row_of(view, dialect, name, peer))
        if not shows_all:
            yield None
            continue
        if dialect.is_second:
            for text in second_details(view, dialect, name, peer, counts):
                yield Line(1006, text)
        elif peer is None:
            yield from _own_details(name, counts[dialect.families[0]])
        else:
            family = dialect.families[0]
            told = counts[family].exported.get(peer.sources[family], 0)
            yield from _peer_details(view, name, peer, counts[family], told)
        yield Line(1006, "")
    yield Line(0, is_last=True)


def shown_peers(view: DaemonView, dialect: Dialect) -> dict[str, Peer]:
    """Return the peers of a dialect's families, by the names of their protocols."""
    if len(dialect.families) == 1:
        return peers_of(view, dialect.families[0])
    return _named(view.speaker.peers.values())


class Row(NamedTuple):
    """A protocol in one line.

    Attributes:
        name: Of the protocol.
        kind: Such as ``BGP``.
        table: Its table.
        state: ``up``, ``start`` or ``down``.
        since: When that changed.
        info: For people.
    """

    name: str
    kind: str
    table: str
    state: str
    since: str
    info: str


def fields_of_row(
    view: DaemonView, dialect: Dialect, name: str, peer: Peer | None
) -> Row:
    """Return the fields of a protocol's line; ``peer`` is ``None`` for one of our own."""
    table = NO_TABLE if dialect.is_second else TABLE
    if peer is None:
        since = dialect.time(view.started_at, view.now)
        return Row(name, OWN[name], table, "up", since, "")
    counters = peer.driver.session.counters
    info = f"{state_of(peer):<14s}{error_of(peer)}"
    since = dialect.time(_since(view, counters), view.now)
    return Row(name, "BGP", table, protocol_state_of(peer), since, info)


def row_of(view: DaemonView, dialect: Dialect, name: str, peer: Peer | None) -> str:
    """Return a protocol's line."""
    name, kind, table, state, since, info = fields_of_row(view, dialect, name, peer)
    if dialect.is_second:
        return f"{name:<10s} {kind:<10s} {table:<10s} {state:<6s} {since:<12s}  {info}"
    return f"{name:<8s} {kind:<8s} {table:<8s} {state:<5s}  {since:<10s}  {info}"


def _since(view: DaemonView, counters: Counters) -> float:
    if counters.established_since is not None:
        return counters.established_since
    return view.started_at if counters.last_down_at is None else counters.last_down_at


# -- BIRD 2, in full -----------------------------------------------------------------------


def second_details(
    view: DaemonView,
    dialect: Dialect,
    name: str,
    peer: Peer | None,
    counts: Mapping[Family, Counts],
) -> Iterator[str]:
    """Yield the lines about a protocol in BIRD 2's form."""
    if peer is not None:
        if peer.settings.description:
            yield f"  Description:    {peer.settings.description}"
        yield from _second_session(view, peer)
    for family in dialect.families:
        if peer is None or any(f.family == family for f in peer.settings.families):
            yield from _channel(dialect, name, peer, family, counts[family])


def _second_session(view: DaemonView, peer: Peer) -> Iterator[str]:
    settings, negotiated = peer.settings, peer.negotiated
    yield f"  BGP state:          {state_of(peer)}"
    yield f"    Neighbor address: {settings.remote_addr}"
    asn = negotiated.peer_as if negotiated else settings.accepted_as
    yield f"    Neighbor AS:      {asn}"
    yield f"    Local AS:         {peer.in_force.local_as}"
    if peer.stale_family_count:
        yield "    Neighbor graceful restart active"
    if negotiated is not None:
        yield f"    Neighbor ID:      {dotted(negotiated.peer_router_id)}"
        for title, caps in (("Local", negotiated.local), ("Neighbor", negotiated.peer)):
            yield f"    {title} capabilities"
            yield from (f"      {text}" for text in _second_capabilities(caps))
        yield f"    Session:          {session_of(peer, negotiated)}"
        source = peer.driver.session.local_addr or settings.local_addr
        yield f"    Source address:   {source.partition('%')[0]}"
        for title, text in timers_of(view, peer, negotiated):
            yield f"    {title:<17s} {text}"
    if error := error_of(peer):
        yield f"    Last error:       {error}"


def _second_capabilities(caps: Capabilities) -> Iterator[str]:
    if caps.families:
        yield "Multiprotocol"
        names = " ".join(_AFIS[family] for family in caps.families if family in _AFIS)
        yield f"  AF announced: {names}"
    for text, is_there in (
        ("Route refresh", caps.has_route_refresh),
        ("Extended message", caps.has_extended_message),
        ("Graceful restart", caps.graceful_restart is not None),
        ("4-octet AS numbers", caps.four_octet_as is not None),
        ("ADD-PATH", bool(caps.add_path)),
        ("Enhanced refresh", caps.has_enhanced_refresh),
        ("Long-lived graceful restart", caps.long_lived is not None),
    ):
        if is_there:
            yield text


def _filter_of(policy: str) -> str:
    return "ACCEPT" if policy in ("", "accept-all") else policy


def _channel(
    dialect: Dialect, name: str, peer: Peer | None, family: Family, counts: Counts
) -> Iterator[str]:
    is_up = peer is None or peer.state is State.ESTABLISHED
    yield f"  Channel {_AFIS[family]}"
    yield f"    State:          {'UP' if is_up else 'DOWN'}"
    yield f"    Table:          {dialect.table_of(family)}"
    preference = OWN_PREFERENCES.get(name, 0) if peer is None else BGP_PREFERENCE
    yield f"    Preference:     {preference}"
    import_filter, export_filter = "ACCEPT", "REJECT"
    if peer is not None:
        import_filter = _filter_of(peer.settings.import_policy)
        export_filter = _filter_of(peer.settings.export_policy)
    yield f"    Input filter:   {import_filter}"
    yield f"    Output filter:  {export_filter}"
    if not is_up:
        return
    rib = None if peer is None else peer.ribs_in.get(family)
    filtered = 0 if rib is None else len(rib.filtered)
    told = 0 if peer is None else counts.exported.get(peer.sources[family], 0)
    yield (
        f"    Routes:         {counts.imported[name]} imported, {filtered} filtered, "
        f"{told} exported, {counts.preferred[name]} preferred"
    )
    if peer is not None:
        yield from (f"  {line.text}" for line in _changes(peer))


# -- in full ------------------------------------------------------------------------------


def _own_details(name: str, counts: Counts) -> Iterator[Line]:
    imported, preferred = counts.imported, counts.preferred
    preference = OWN_PREFERENCES.get(name, 0)
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
    imported, preferred = counts.imported, counts.preferred
    settings = peer.settings
    yield Line(1006, f"  Description:    {settings.description or 'BGP peer'}")
    yield Line(1006, "  Preference:     100")
    for title, policy in (
        ("Input filter:", settings.import_policy),
        ("Output filter:", settings.export_policy),
    ):
        yield Line(1006, f"  {title:<15s} {_filter_of(policy)}")
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


def capabilities_of(negotiated: Negotiated) -> str:
    """Return BIRD 1's words for what the peer's OPEN offered."""
    theirs = negotiated.peer
    graceful = theirs.graceful_restart
    restart = "" if graceful is None else "restart-aware"
    if graceful is not None and graceful.families:
        restart = "restart-able"
    return _words(
        (
            ("refresh", theirs.has_route_refresh),
            ("enhanced-refresh", theirs.has_enhanced_refresh),
            (restart, bool(restart)),
            ("llgr-aware", theirs.long_lived is not None),
            ("AS4", theirs.four_octet_as is not None),
            ("add-path-rx", bool(negotiated.add_path_send)),
            ("add-path-tx", bool(negotiated.add_path_receive)),
            ("ext-messages", theirs.has_extended_message),
        )
    )


def session_of(peer: Peer, negotiated: Negotiated) -> str:
    """Return BIRD's words for a session."""
    settings = peer.settings
    return _words(
        (
            ("internal" if negotiated.is_ibgp else "external", True),
            ("multihop", negotiated.is_ibgp or settings.multihop_ttl > 1),
            ("route-reflector", settings.is_client),
            ("AS4", negotiated.four_octet_as),
            ("add-path-rx", bool(negotiated.add_path_receive)),
            ("add-path-tx", bool(negotiated.add_path_send)),
            ("ext-messages", negotiated.max_message_len > 4096),
        )
    )


def timers_of(
    view: DaemonView, peer: Peer, negotiated: Negotiated
) -> Iterator[tuple[str, str]]:
    """Yield the timers of a session, with the seconds left and in all."""
    for title, timer, total in (
        ("Hold timer:", Timer.HOLD, negotiated.hold_time),
        ("Keepalive timer:", Timer.KEEPALIVE, round(negotiated.keepalive_time)),
    ):
        deadline = peer.driver.session.deadline(timer)
        left = 0 if deadline is None else max(0, round(deadline - view.now))
        yield title, f"{left}/{total}"


def _established(
    view: DaemonView, peer: Peer, negotiated: Negotiated
) -> Iterator[Line]:
    yield Line(1006, f"    Neighbor ID:      {dotted(negotiated.peer_router_id)}")
    yield Line(1006, f"    Neighbor caps:    {capabilities_of(negotiated)}")
    yield Line(1006, f"    Session:          {session_of(peer, negotiated)}")
    source = peer.driver.session.local_addr or peer.settings.local_addr
    yield Line(1006, f"    Source address:   {source.partition('%')[0]}")
    for title, text in timers_of(view, peer, negotiated):
        yield Line(1006, f"    {title:<17s} {text}")


def _words(claims: tuple[tuple[str, bool], ...]) -> str:
    return " ".join(word for word, holds in claims if holds)
