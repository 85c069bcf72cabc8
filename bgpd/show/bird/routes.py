"""``show route``: which routes are shown, and in which order."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from bgpd.api.bird import Line
from bgpd.show.advertised_counts import candidates, is_exported
from bgpd.show.bird.dialect import Dialect
from bgpd.show.bird.filters import Filter, Route
from bgpd.show.bird.protocols import is_protocol, peers_of
from bgpd.show.bird.route_lines import RouteLines
from bgpd.show.bird.tokens import QueryError, unexpected
from bgpd.show.bird.vocabulary import KERNEL, RouteLike, protocol_of, safe_name
from bgpd.show.state import DaemonView, in_reading_order
from bgpd.speaker.peer import Peer
from reflector.group import UpdateGroup
from rib.attributes import PathAttributes
from rib.family import ADDRESS_OCTETS, Family
from rib.nlri import Nlri, format_prefix, make_nlri, parse_prefix
from rib.path import NextHop, Path, Source
from rib.path_set import Entry, best_of, paths_of
from rib.prefix_lookup import PrefixLengths, covering

_YIELD_AFTER: Final = 256  # prefixes written between yield points
_GLANCES: Final = 1024  # prefixes looked at between yield points
NOT_FOUND: Final = 8001


class FilteredPath(NamedTuple):
    """A route that import policy, a check or a limit refused, as if it were in the table.

    Attributes:
        source: Who announced it.
        attributes: As received.
        next_hop: Its reachability is not tracked.
        weight: Of routes of that source.
    """

    source: Source
    attributes: PathAttributes
    next_hop: NextHop
    weight: int


@dataclass(slots=True)
class Query:
    """Which part of the tables to show.

    Attributes:
        exact: This prefix only.
        address: The route that a packet to this address, or all of this prefix, takes.
        inside: Prefixes inside this one.
        families: Only these tables; ``None`` for all.
        protocol: Routes of this protocol only.
        export: Routes exported to this protocol.
        is_negated: With ``export``: those that are not exported.
        is_primary: Selected routes only.
        is_filtered: Filtered routes instead of those in the table.
        is_verbose: With attributes.
        is_count: Their number only.
        where: Only routes that it accepts.
    """

    exact: str = ""
    address: str = ""
    inside: str = ""
    families: tuple[Family, ...] | None = None
    protocol: str = ""
    export: str = ""
    is_negated: bool = False
    is_primary: bool = False
    is_filtered: bool = False
    is_verbose: bool = False
    is_count: bool = False
    where: Filter | None = None


Chooses = Callable[[Nlri, Entry | None, RouteLike], bool]


class Found(NamedTuple):
    """The routes of one prefix.

    Attributes:
        nlri: The prefix.
        entry: In the table; ``None`` for filtered routes.
        routes: All of them.
    """

    nlri: Nlri
    entry: Entry | None
    routes: tuple[RouteLike, ...]


def show_route(
    view: DaemonView, dialect: Dialect, query: Query
) -> Iterator[Line | None]:
    """Yield the answer to ``show route``.

    Raises:
        QueryError: There is no such protocol or prefix, at the first step.
    """
    selections = selections_of(view, dialect, query)
    if query.is_count:
        yield from _count(dialect, selections)
        return
    is_any = False
    for selection in selections:
        yield from selection.prepare()
        is_first = True
        for found in selection.chosen():
            if found is None:
                yield None
                continue
            if is_first:
                yield from _heading(dialect, selection.family, is_any=is_any)
                is_first, is_any = False, True
            yield from selection.lines(found)
    sought = query.exact or query.address
    if sought and not is_any and not any(each.nlris for each in selections):
        yield Line(NOT_FOUND, dialect.missing, is_last=True)
    else:
        yield Line(0, is_last=True)


def _heading(dialect: Dialect, family: Family, *, is_any: bool) -> Iterator[Line]:
    if dialect.is_second:
        if is_any:
            yield Line(1007, "")
        yield Line(1007, f"Table {dialect.table_of(family)}:")


def _count(dialect: Dialect, selections: list["Selection"]) -> Iterator[Line | None]:
    totals = [0, 0, 0]
    lines = []
    for selection in selections:
        yield from selection.prepare()
        routes = seen = networks = 0
        for found in selection.all_found():
            if found is None:
                yield None
                continue
            number = len(found.routes)
            seen += number
            networks += bool(number)
            routes += selection.count(found)
            yield from selection.pause()
        totals = [
            sum(pair) for pair in zip(totals, (routes, seen, networks), strict=True)
        ]
        text = f"{routes} of {seen} routes for {networks} networks"
        if dialect.is_second:
            text += f" in table {dialect.table_of(selection.family)}"
        lines.append(text)
    if len(lines) > 1:
        yield from (Line(14, text) for text in lines)
        routes, seen, networks = totals
        total = f"Total: {routes} of {seen} routes for {networks} networks"
        lines = [f"{total} in {len(lines)} tables"]
    yield Line(14, lines[-1], is_last=True)


def selections_of(
    view: DaemonView, dialect: Dialect, query: Query
) -> list["Selection"]:
    """Return what a query selects, by family.

    Raises:
        QueryError: There is no such protocol or prefix.
    """
    families = dialect.families if query.families is None else query.families
    for name in (query.protocol, query.export):
        if name and not any(is_protocol(view, each, name) for each in dialect.families):
            raise unexpected(name)
    for text in (query.exact, query.address, query.inside):
        if text:
            families = (_family_of(text, families, dialect),)
    return [Selection(view, dialect, query, family) for family in families]


def _family_of(text: str, families: tuple[Family, ...], dialect: Dialect) -> Family:
    try:
        afi, _ = parse_prefix(text)
    except ValueError as error:
        raise unexpected(text) from error
    for family in families:
        if family.afi == afi:
            return family
    raise QueryError(NOT_FOUND, dialect.missing)


class Selection:
    """What a query selects of one family's table.

    Args:
        view: The daemon.
        dialect: The form.
        query: The request.
        family: The table.
    """

    def __init__(
        self, view: DaemonView, dialect: Dialect, query: Query, family: Family
    ) -> None:
        self.family = family
        self._view, self._dialect, self._query = view, dialect, query
        self._table = view.speaker.tables[family].loc_rib.table
        self._write = RouteLines(view, dialect)
        self._chooses = _chooser(view, family, query)
        self._filtered: dict[Nlri, list[FilteredPath]] = {}
        self._cover = parse_prefix(query.inside)[1] if query.inside else None
        self.nlris: list[Nlri] = []
        where = query.where
        self._counts_alike = not (
            query.is_filtered
            or (where is not None and where.is_of_net)
            or (query.export and _divides(view, family, query.export))
        )
        self._known: dict[Entry | None, int] = {}

    @property
    def _leaves_out(self) -> bool:
        query = self._query
        by_name = query.protocol or query.export or query.inside
        return bool(by_name or query.is_primary or query.where)

    def prepare(self) -> Iterator[None]:
        """Find the prefixes to look at, with yield points."""
        if self._query.is_filtered:
            yield from self._collect_filtered()
            self.nlris = self._looked_at(self._filtered)
        else:
            self.nlris = self._looked_at(self._table)

    def _collect_filtered(self) -> Iterator[None]:
        """Gather filtered routes, of one protocol or of all."""
        wanted = safe_name(self._query.protocol) if self._query.protocol else ""
        hops: dict[bytes, NextHop] = {}
        for name, peer in peers_of(self._view, self.family).items():
            rib = peer.ribs_in.get(self.family)
            if rib is None or (wanted and name != wanted):
                continue
            source = peer.sources[self.family]
            for number, ((nlri, _), why) in enumerate(list(rib.filtered.items())):
                if number % _GLANCES == 0:
                    yield None
                address = why.attributes.next_hop[:16]
                hop = hops.setdefault(address, NextHop(address))
                path = FilteredPath(source, why.attributes, hop, source.weight)
                self._filtered.setdefault(nlri, []).append(path)

    def _looked_at(self, table: Mapping[Nlri, object]) -> list[Nlri]:
        """Return the prefixes of a query, in no order."""
        query = self._query
        if query.exact:
            _, nlri = parse_prefix(query.exact)
            return [nlri] if nlri in table else []
        if query.address:
            _, nlri = parse_prefix(query.address)
            match = next(covering(table, nlri, PrefixLengths(table)), None)
            return [] if match is None else [match[0]]
        return list(table)

    def _is_inside(self, nlri: Nlri) -> bool:
        cover = self._cover
        if cover is None:
            return True
        return nlri[0] >= cover[0] and make_nlri(nlri[1:], cover[0]) == cover

    def _find(self, nlri: Nlri) -> Found:
        if self._query.is_filtered:
            return Found(nlri, None, tuple(self._filtered.get(nlri, ())))
        entry = self._table.get(nlri)
        return Found(nlri, entry, paths_of(entry))

    def all_found(self) -> Iterator[Found | None]:
        """Yield the prefixes that the query covers, in no order, with yield points."""
        for number, nlri in enumerate(self.nlris):
            if number % _GLANCES == 0:
                yield None
            if self._is_inside(nlri):
                yield self._find(nlri)

    def pause(self) -> Iterator[None]:
        """Yield a yield point where each route takes long."""
        if self._query.where is not None:
            yield None

    def count(self, found: Found) -> int:
        """Return how many of a prefix's routes are chosen."""
        if not self._counts_alike:
            return len(self.routes(found))
        # All prefixes of one entry fare alike, and it is asked about once.
        known = self._known.get(found.entry)
        if known is None:
            known = self._known[found.entry] = len(self.routes(found))
        return known

    def routes(self, found: Found) -> list[RouteLike]:
        """Return the chosen ones of a prefix's routes."""
        return [
            route
            for route in found.routes
            if self._chooses(found.nlri, found.entry, route)
        ]

    def chosen(self) -> Iterator[Found | None]:
        """Yield prefixes in reading order, each with its chosen routes."""
        nlris = self.nlris
        if self._leaves_out:
            # What is left out need not be put in order.
            nlris = []
            for found in self.all_found():
                if found is None:
                    yield None
                    continue
                if self.count(found):
                    nlris.append(found.nlri)
                yield from self.pause()
        for number, nlri in enumerate(in_reading_order(nlris)):
            if number % _YIELD_AFTER == 0:
                yield None
            if nlri is None:
                continue
            found = self._find(nlri)
            if routes := self.routes(found):
                yield found._replace(routes=tuple(routes))
            yield from self.pause()

    def age_of(self, route: RouteLike) -> str:
        """Return the time that is shown of a route."""
        return self._write.time_of(route)

    def lines(self, found: Found) -> Iterator[Line]:
        """Yield the lines of a prefix with its chosen routes."""
        title, best = format_prefix(found.nlri, self.family.afi), best_of(found.entry)
        for route in found.routes:
            yield from self._write(title, route, is_best=route is best)
            title = ""
            if self._query.is_verbose:
                yield from self._write.details(route)


def _chooser(view: DaemonView, family: Family, query: Query) -> Chooses:
    tests: list[Chooses] = []
    if query.is_primary:
        tests.append(lambda _, entry, path: path is best_of(entry))
    if query.protocol:
        wanted = safe_name(query.protocol)
        tests.append(lambda _, __, path: protocol_of(path.source) == wanted)
    if query.export:
        tests.append(_exported_to(view, family, query))
    if query.where is not None:
        accepts, octets = query.where.accepts, ADDRESS_OCTETS[family.afi]
        tests.append(lambda nlri, _, path: accepts(Route(nlri, octets, path)))
    if not tests:
        return lambda _, __, ___: True
    return lambda nlri, entry, path: all(test(nlri, entry, path) for test in tests)


def _divides(view: DaemonView, family: Family, protocol: str) -> bool:
    """Whether a protocol may get some prefixes of one path and not others."""
    peer = peers_of(view, family).get(safe_name(protocol))
    if peer is None:
        return True
    group = view.speaker.tables[family].group_of(peer.sources[family])
    return group is not None and group.export.policy.needs_prefix


def _exported_to(view: DaemonView, family: Family, query: Query) -> Chooses:
    peer: Peer | None = peers_of(view, family).get(safe_name(query.export))
    if peer is None:
        # Of the protocols other than BGP only the kernel gets exports.
        return _to_kernel(view, family, query)
    source = peer.sources[family]
    group: UpdateGroup | None = view.speaker.tables[family].group_of(source)

    def chooses(nlri: Nlri, entry: Entry | None, path: RouteLike) -> bool:
        if group is None or entry is None or not isinstance(path, Path):
            return False
        if path not in candidates(group, entry):
            return False
        return is_exported(group, source, path, nlri) is not query.is_negated

    return chooses


def _to_kernel(view: DaemonView, family: Family, query: Query) -> Chooses:
    def chooses(nlri: Nlri, entry: Entry | None, path: RouteLike) -> bool:
        if query.export != KERNEL or path is not best_of(entry):
            return False
        is_there = (
            view.kernel.fib is not None
            and view.kernel.fib.route(family, nlri) is not None
        )
        return is_there is not query.is_negated

    return chooses
