"""Counts of routes: by family, or by what they have in their attributes or come from.

A prefix costs one look-up: paths are counted, which prefixes share, and only the sum of each
is divided among its communities, its origin AS or its source.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from bgpd.api.protocol import Row
from rib.attributes import PathAttributes, format_next_hop
from rib.attributes.communities import format_community, format_large_community
from rib.family import Family

_SORTED_AT_ONCE: Final = 2_000  # values, some 1 ms
_YIELD_AFTER: Final = 256  # kinds of routes divided between yield points


class RouteKind(NamedTuple):
    """What routes that are counted together have in common.

    Attributes:
        attributes: Theirs.
        source: Name of the peer, or of the other source.
    """

    attributes: PathAttributes
    source: str


class Count:
    """Routes of one kind, and how many of them are selected."""

    __slots__ = ("routes", "selected")

    def __init__(self) -> None:
        self.routes = 0
        self.selected = 0

    def add(self, other: "Count") -> None:
        """Add another count."""
        self.routes += other.routes
        self.selected += other.selected


class Tally:
    """Counts of one family.

    Attributes:
        prefixes: Those that have routes which are counted.
        by_kind: Routes by what they have in common.
    """

    __slots__ = ("by_kind", "prefixes")

    def __init__(self) -> None:
        self.prefixes = 0
        self.by_kind: dict[RouteKind, Count] = {}

    def add(
        self, attributes: PathAttributes, source: str, *, is_selected: bool
    ) -> None:
        """Count a route."""
        kind = RouteKind(attributes, source)
        found = self.by_kind.get(kind)
        if found is None:
            found = self.by_kind[kind] = Count()
        found.routes += 1
        found.selected += is_selected


def _communities(kind: RouteKind) -> Iterable[str]:
    return map(format_community, kind.attributes.communities)


def _large_communities(kind: RouteKind) -> Iterable[str]:
    return map(format_large_community, kind.attributes.large_communities)


def _origin_as(kind: RouteKind) -> Iterable[str]:
    return (str(kind.attributes.as_path.origin_as),)


def _next_hop(kind: RouteKind) -> Iterable[str]:
    return (format_next_hop(kind.attributes.next_hop),)


def _peer(kind: RouteKind) -> Iterable[str]:
    return (kind.source,)


COUNT_BY: Final[Mapping[str, Callable[[RouteKind], Iterable[str]]]] = {
    "community": _communities,
    "large-community": _large_communities,
    "origin-as": _origin_as,
    "next-hop": _next_hop,
    "peer": _peer,
}


def family_row(family: Family, tally: Tally) -> Row:
    """Return the sums of a family."""
    counts = tally.by_kind.values()
    return {
        "family": str(family),
        "prefixes": tally.prefixes,
        "routes": sum(count.routes for count in counts),
        "selected": sum(count.selected for count in counts),
    }


def rows_by(name: str, family: Family, tally: Tally) -> Iterator[Row | None]:
    """Yield a row for each value, the most frequent first, with yield points.

    Args:
        name: A key of ``COUNT_BY``.
        family: Of the routes.
        tally: What was counted.
    """
    values_of = COUNT_BY[name]
    sums: dict[str, Count] = {}
    for number, (kind, count) in enumerate(tally.by_kind.items()):
        for value in values_of(kind):
            sums.setdefault(value, Count()).add(count)
        if number % _YIELD_AFTER == 0:
            yield None
    sorted_parts = []
    rest = iter(sums.items())
    while part := list(islice(rest, _SORTED_AT_ONCE)):
        sorted_parts.append(sorted((-c.routes, v, c.selected) for v, c in part))
        yield None
    for negative, value, selected in merge(*sorted_parts):
        yield {
            "family": str(family),
            "by": name,
            "value": value,
            "routes": -negative,
            "selected": selected,
        }
