"""``show route``: routes as BIRD prints them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bgpd.api.bird import Line
from bgpd.daemon.bird.protocols import is_protocol, peers_of
from bgpd.daemon.bird.told import candidates, is_told
from bgpd.daemon.bird.words import (
    DIRECT,
    KERNEL,
    STATIC,
    moment,
    preference_of,
    protocol_of,
)
from bgpd.daemon.peer import Peer
from bgpd.daemon.views.common import DaemonView, dotted, in_reading_order
from reflector.group import UpdateGroup
from rib.as_path import format_as_path
from rib.attribute_codes import AS_PATH
from rib.attributes import ORIGIN_EGP, ORIGIN_IGP, PathAttributes
from rib.communities import format_large_community
from rib.family import Family
from rib.lookup import PrefixLengths, covering
from rib.nlri import Nlri, format_address, format_prefix, parse_prefix
from rib.path import Path
from rib.path_set import Entry, best_of, paths_of

_ORIGINS: Final = {ORIGIN_IGP: "i", ORIGIN_EGP: "e"}
_ORIGIN_NAMES: Final = {ORIGIN_IGP: "IGP", ORIGIN_EGP: "EGP"}
_TYPES: Final = {
    DIRECT: "device unicast univ",
    KERNEL: "inherit unicast univ",
    STATIC: "static unicast univ",
}
_BREATH: Final = 256  # prefixes looked at between breaths


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
    """What of the table is asked for.

    Attributes:
        exact: This prefix only.
        address: The route that a packet to this address, or all of this prefix, takes.
        protocol: Routes of this protocol only.
        export: Routes that this protocol is told.
        is_refused: With ``export``: those that it is not told.
        is_primary: Selected routes only.
        is_verbose: With attributes.
        is_count: Their number only.
    """

    exact: str = ""
    address: str = ""
    protocol: str = ""
    export: str = ""
    is_refused: bool = False
    is_primary: bool = False
    is_verbose: bool = False
    is_count: bool = False


Chooses = Callable[[Nlri, Entry, Path], bool]


def show_route(view: DaemonView, family: Family, query: Query) -> Iterator[Line | None]:
    """Yield the answer to ``show route``.

    Raises:
        QueryError: There is no such protocol or prefix, at the first step.
    """
    table = view.speaker.tables[family].loc_rib.table
    for name in (query.protocol, query.export):
        if name and not is_protocol(view, family, name):
            raise QueryError(9001, f"syntax error, unexpected {name!r}")
    chooses = _chooser(view, family, query)
    nlris, total = _prefixes(table, family, query)
    networks = routes = seen = 0
    for number, nlri in enumerate(nlris):
        if nlri is None or number % _BREATH == 0:
            yield None
        if nlri is None or (entry := table.get(nlri)) is None:
            continue
        seen += len(paths_of(entry))
        chosen = [path for path in paths_of(entry) if chooses(nlri, entry, path)]
        networks += 1
        routes += len(chosen)
        if not query.is_count:
            title = format_prefix(nlri, family.afi)
            for line, path in _lines(view, title, best_of(entry), chosen):
                yield line
                if query.is_verbose:
                    yield from _details(path)
    if query.is_count:
        text = f"{routes} of {seen} routes for {networks} networks"
        yield Line(14, text, is_last=True)
    elif not total and (query.exact or query.address):
        yield Line(8001, "Network not in table", is_last=True)
    else:
        yield Line(0, is_last=True)


def _prefixes(
    table: dict[Nlri, Entry], family: Family, query: Query
) -> tuple[Iterable[Nlri | None], int]:
    """Return the prefixes to look at, in order, and how many there are."""
    if query.exact:
        nlri = _parse(query.exact, family)
        found = [nlri] if nlri in table else []
        return found, len(found)
    if query.address:
        lengths = PrefixLengths(table)
        match = next(covering(table, _parse(query.address, family), lengths), None)
        found = [] if match is None else [match[0]]
        return found, len(found)
    return in_reading_order(list(table)), len(table)


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
        tests.append(_told_to(view, family, query))
    return lambda nlri, entry, path: all(test(nlri, entry, path) for test in tests)


def _told_to(view: DaemonView, family: Family, query: Query) -> Chooses:
    peer: Peer | None = peers_of(view, family).get(query.export)
    if peer is None:
        # Of the protocols that are not BGP only the kernel is told anything.
        return _to_kernel(view, family, query)
    source = peer.sources[family]
    group: UpdateGroup | None = view.speaker.tables[family].group_of(source)

    def chooses(nlri: Nlri, entry: Entry, path: Path) -> bool:
        if group is None or path not in candidates(group, entry):
            return False
        return is_told(group, source, path, nlri) is not query.is_refused

    return chooses


def _to_kernel(view: DaemonView, family: Family, query: Query) -> Chooses:
    def chooses(nlri: Nlri, entry: Entry, path: Path) -> bool:
        if query.export != KERNEL or path is not best_of(entry):
            return False
        is_there = view.fib is not None and view.fib.route(family, nlri) is not None
        return is_there is not query.is_refused

    return chooses


# -- lines --------------------------------------------------------------------------------


def _lines(
    view: DaemonView, title: str, best: Path | None, paths: Iterable[Path]
) -> Iterator[tuple[Line, Path]]:
    for path in paths:
        yield Line(1007, _line(view, title, path, is_best=path is best)), path
        title = ""


def _line(view: DaemonView, title: str, path: Path, *, is_best: bool) -> str:
    source, attributes = path.source, path.attributes
    since = moment(_since(view, path), view.now)
    from_peer = ""
    if source.address and source.address != path.next_hop.address:
        from_peer = f" from {format_address(source.address)}"
    mark = " *" if is_best else ""
    head = f"{title:<18s} {_way(path)} [{protocol_of(source)} {since}{from_peer}]"
    return (
        f"{head}{mark} ({preference_of(path)}{_metric(path)}){_info(attributes, path)}"
    )


def _since(view: DaemonView, path: Path) -> float:
    """Return since when a route may have stood; single routes' times are not kept."""
    if path.source.address:
        for peer in view.speaker.peers.values():
            if path.source in peer.sources.values():
                since = peer.driver.session.counters.established_since
                return view.started_at if since is None else since
    return view.started_at


def _way(path: Path) -> str:
    hop = path.next_hop
    if not hop.is_reachable:
        return "unreachable"
    if hop.address:
        gateway = format_address(hop.address)
        return (
            f"via {gateway} on {hop.interface}" if hop.interface else f"via {gateway}"
        )
    return f"dev {hop.interface}" if hop.interface else "blackhole"


def _metric(path: Path) -> str:
    if not path.source.address:
        return ""
    return f"/{path.next_hop.metric}" if path.next_hop.is_reachable else "/-"


def _info(attributes: PathAttributes, path: Path) -> str:
    if not path.source.address:
        return ""
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
