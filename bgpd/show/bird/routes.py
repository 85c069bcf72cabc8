"""``show route``: routes as BIRD prints them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bgpd.api.bird import Line
from bgpd.show.bird.export_counts import candidates, is_exported
from bgpd.show.bird.protocols import is_protocol, peers_of
from bgpd.show.bird.vocabulary import (
    DIRECT,
    KERNEL,
    STATIC,
    moment,
    preference_of,
    protocol_of,
)
from bgpd.show.state import DaemonView, dotted, in_reading_order
from bgpd.speaker.peer import Peer
from reflector.group import UpdateGroup
from rib.attributes import ORIGIN_EGP, ORIGIN_IGP
from rib.attributes.as_path import format_as_path
from rib.attributes.codes import AS_PATH
from rib.attributes.communities import format_large_community
from rib.family import Family
from rib.nlri import Nlri, format_address, format_prefix, parse_prefix
from rib.path import Path
from rib.path_set import Entry, best_of, paths_of
from rib.prefix_lookup import PrefixLengths, covering

_ORIGINS: Final = {ORIGIN_IGP: "i", ORIGIN_EGP: "e"}
_ORIGIN_NAMES: Final = {ORIGIN_IGP: "IGP", ORIGIN_EGP: "EGP"}
_TYPES: Final = {
    DIRECT: "device unicast univ",
    KERNEL: "inherit unicast univ",
    STATIC: "static unicast univ",
}
_YIELD_AFTER: Final = 256  # prefixes written between yield points
_GLANCES: Final = 1024  # prefixes looked at between yield points


class QueryError(Exception):
    """A query that cannot be answered.

    Args:
        code: BIRD's number of the error.
        text: For people.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Query:
    """Which part of the table to show.

    Attributes:
        exact: This prefix only.
        address: The route that a packet to this address, or all of this prefix, takes.
        protocol: Routes of this protocol only.
        export: Routes exported to this protocol.
        is_negated: With ``export``: those that are not exported.
        is_primary: Selected routes only.
        is_verbose: With attributes.
        is_count: Their number only.
    """

    exact: str = ""
    address: str = ""
    protocol: str = ""
    export: str = ""
    is_negated: bool = False
    is_primary: bool = False
    is_verbose: bool = False
    is_count: bool = False


Chooses = Callable[[Nlri, Entry | None, Path], bool]
CountsOf = Callable[[Nlri, Entry | None], int]


def show_route(view: DaemonView, family: Family, query: Query) -> Iterator[Line | None]:
    """Yield the answer to ``show route``.

    Raises:
        QueryError: There is no such protocol or prefix, at the first step.
    """
    table = view.speaker.tables[family].loc_rib.table
    for name in (query.protocol, query.export):
        if name and not is_protocol(view, family, name):
            raise QueryError(9001, f"syntax error, unexpected {name!r}")
    chosen_of = _counter(view, family, query)
    nlris = _looked_at(table, family, query)
    if query.is_count:
        yield from _count(table, nlris, chosen_of)
        return
    chosen = nlris
    if query.protocol or query.export or query.is_primary:
        # What is left out need not be put in order.
        chosen = []
        for number, nlri in enumerate(nlris):
            if number % _GLANCES == 0:
                yield None
            if chosen_of(nlri, table.get(nlri)):
                chosen.append(nlri)
    yield from _show(view, family, query, chosen)
    if not nlris and (query.exact or query.address):
        yield Line(8001, "Network not in table", is_last=True)
    else:
        yield Line(0, is_last=True)


def _count(
    table: dict[Nlri, Entry], nlris: list[Nlri], chosen_of: CountsOf
) -> Iterator[Line | None]:
    networks = routes = seen = 0
    for number, nlri in enumerate(nlris):
        if number % _GLANCES == 0:
            yield None
        entry = table.get(nlri)
        paths = paths_of(entry)
        seen += len(paths)
        networks += bool(paths)
        routes += chosen_of(nlri, entry)
    text = f"{routes} of {seen} routes for {networks} networks"
    yield Line(14, text, is_last=True)


def _show(
    view: DaemonView, family: Family, query: Query, nlris: list[Nlri]
) -> Iterator[Line | None]:
    table = view.speaker.tables[family].loc_rib.table
    chooses, write = _chooser(view, family, query), _Writer(view)
    for number, nlri in enumerate(in_reading_order(nlris)):
        if number % _YIELD_AFTER == 0:
            yield None
        entry = None if nlri is None else table.get(nlri)
        if nlri is None or entry is None:
            continue
        title, best = format_prefix(nlri, family.afi), best_of(entry)
        for path in paths_of(entry):
            if not chooses(nlri, entry, path):
                continue
            yield Line(1007, write(title, path, is_best=path is best))
            title = ""
            if query.is_verbose:
                yield from _details(path)


def _looked_at(table: dict[Nlri, Entry], family: Family, query: Query) -> list[Nlri]:
    """Return the prefixes of a query, in no order."""
    if query.exact:
        nlri = _parse(query.exact, family)
        return [nlri] if nlri in table else []
    if query.address:
        lengths = PrefixLengths(table)
        match = next(covering(table, _parse(query.address, family), lengths), None)
        return [] if match is None else [match[0]]
    return list(table)


def _parse(text: str, family: Family) -> Nlri:
    try:
        afi, nlri = parse_prefix(text)
    except ValueError as error:
        raise QueryError(9001, f"syntax error, unexpected {text!r}") from error
    if afi != family.afi:
        raise QueryError(8001, "Network not in table")
    return nlri


def _chooser(view: DaemonView, family: Family, query: Query) -> Chooses:
    tests: list[Chooses] = []
    if query.is_primary:
        tests.append(lambda _, entry, path: path is best_of(entry))
    if query.protocol:
        wanted = query.protocol
        tests.append(lambda _, __, path: protocol_of(path.source) == wanted)
    if query.export:
        tests.append(_exported_to(view, family, query))
    if not tests:
        return lambda _, __, ___: True
    return lambda nlri, entry, path: all(test(nlri, entry, path) for test in tests)


def _counter(view: DaemonView, family: Family, query: Query) -> CountsOf:
    """Return a function that counts the chosen paths of a prefix.

    Most of the time all prefixes of one entry fare alike, and it is asked about once.
    """
    chooses = _chooser(view, family, query)

    def count(nlri: Nlri, entry: Entry | None) -> int:
        return sum(chooses(nlri, entry, path) for path in paths_of(entry))

    if query.export and _divides(view, family, query.export):
        return count
    known: dict[Entry | None, int] = {}

    def remembered(nlri: Nlri, entry: Entry | None) -> int:
        found = known.get(entry)
        if found is None:
            found = known[entry] = count(nlri, entry)
        return found

    return remembered


def _divides(view: DaemonView, family: Family, protocol: str) -> bool:
    """Whether a protocol may get some prefixes of one path and not others."""
    peer = peers_of(view, family).get(protocol)
    if peer is None:
        return True
    group = view.speaker.tables[family].group_of(peer.sources[family])
    return group is not None and group.export.policy.needs_prefix


def _exported_to(view: DaemonView, family: Family, query: Query) -> Chooses:
    peer: Peer | None = peers_of(view, family).get(query.export)
    if peer is None:
        # Of the protocols other than BGP only the kernel gets exports.
        return _to_kernel(view, family, query)
    source = peer.sources[family]
    group: UpdateGroup | None = view.speaker.tables[family].group_of(source)

    def chooses(nlri: Nlri, entry: Entry | None, path: Path) -> bool:
        if group is None or entry is None or path not in candidates(group, entry):
            return False
        return is_exported(group, source, path, nlri) is not query.is_negated

    return chooses


def _to_kernel(view: DaemonView, family: Family, query: Query) -> Chooses:
    def chooses(nlri: Nlri, entry: Entry | None, path: Path) -> bool:
        if query.export != KERNEL or path is not best_of(entry):
            return False
        is_there = (
            view.kernel.fib is not None
            and view.kernel.fib.route(family, nlri) is not None
        )
        return is_there is not query.is_negated

    return chooses


# -- lines --------------------------------------------------------------------------------


class _Writer:
    """Writes routes; what all prefixes of one path share is made once.

    Args:
        view: The daemon.
    """

    def __init__(self, view: DaemonView) -> None:
        self._now = view.now
        self._started_at = view.started_at
        self._since = {
            source: peer.driver.session.counters.established_since
            for peer in view.speaker.peers.values()
            for source in peer.sources.values()
        }
        self._rest: dict[tuple[Path, bool], str] = {}

    def __call__(self, title: str, path: Path, *, is_best: bool) -> str:
        """Return a route's line; ``title`` is empty where the prefix was shown."""
        key = (path, is_best)
        rest = self._rest.get(key)
        if rest is None:
            rest = self._rest[key] = self._make(path, is_best=is_best)
        return f"{title:<18s} {rest}"

    def _make(self, path: Path, *, is_best: bool) -> str:
        source = path.source
        # Single routes' times are not kept: a peer's are as old as its session.
        since = self._since.get(source) or self._started_at
        sender = ""
        if source.address and source.address != path.next_hop.address:
            sender = f" from {format_address(source.address)}"
        mark = " *" if is_best else ""
        owner = f"[{protocol_of(source)} {moment(since, self._now)}{sender}]{mark}"
        preference = f"({preference_of(path)}{_metric(path)})"
        return f"{_way(path)} {owner} {preference}{_info(path)}"


def _way(path: Path) -> str:
    hop = path.next_hop
    if not hop.is_reachable or (path.source.address and not hop.address):
        return "unreachable"  # or it ends here, which BIRD calls so too
    if hop.address:
        # Who trusts next hops does not know the device; readers want a word there.
        return f"via {format_address(hop.address)} on {hop.interface or '-'}"
    return f"dev {hop.interface}" if hop.interface else "blackhole"


def _metric(path: Path) -> str:
    if not path.source.address:
        return ""
    return f"/{path.next_hop.metric}" if path.next_hop.is_reachable else "/-"


def _info(path: Path) -> str:
    if not path.source.address:
        return ""
    attributes = path.attributes
    origin = _ORIGINS.get(attributes.origin, "?")
    last = attributes.as_path.asns[-1:]
    return f" [AS{last[0]}{origin}]" if last else f" [{origin}]"


def _details(path: Path) -> Iterator[Line]:
    attributes = path.attributes
    protocol = protocol_of(path.source)
    yield Line(1008, f"\tType: {_TYPES.get(protocol, 'BGP unicast univ')}")
    if not path.source.address:
        return
    yield Line(
        1012, f"\tBGP.origin: {_ORIGIN_NAMES.get(attributes.origin, 'Incomplete')}"
    )
    as_path = format_as_path(attributes.get(AS_PATH) or b"")
    yield Line(1012, f"\tBGP.as_path: {as_path}")
    if attributes.next_hop:
        hop = format_address(attributes.next_hop[:16])
        yield Line(1012, f"\tBGP.next_hop: {hop}")
    if attributes.med is not None:
        yield Line(1012, f"\tBGP.med: {attributes.med}")
    local_pref = attributes.local_pref
    yield Line(1012, f"\tBGP.local_pref: {100 if local_pref is None else local_pref}")
    if attributes.communities:
        shown = " ".join(
            f"({each >> 16},{each & 0xFFFF})" for each in attributes.communities
        )
        yield Line(1012, f"\tBGP.community: {shown}")
    if attributes.originator_id is not None:
        yield Line(1012, f"\tBGP.originator_id: {dotted(attributes.originator_id)}")
    if attributes.cluster_list:
        clusters = " ".join(map(dotted, attributes.cluster_list))
        yield Line(1012, f"\tBGP.cluster_list: {clusters}")
    if attributes.large_communities:
        shown = " ".join(
            f"({format_large_community(each).replace(':', ', ')})"
            for each in attributes.large_communities
        )
        yield Line(1012, f"\tBGP.large_community: {shown}")
