"""Counts of routes: by family, or by what they have in their attributes or come from.

A prefix costs one look-up: paths are counted, which prefixes share, and only the sum of each
is divided among its communities, its origin AS or its source.
"""

from collections.abc import Iterable, Iterator
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

    __slots__ = ("route_count", "selected_count")

    def __init__(self) -> None:
        self.route_count = 0
        self.selected_count = 0

    def add(self, other: "Count") -> None:
        """Add another count."""
        self.route_count += other.route_count
        self.selected_count += other.selected_count


class Tally:
    """Counts of one family.

    Attributes:
        prefix_count: Prefixes that have routes which are counted.
        by_kind: Routes by what they have in common.
    """

    __slots__ = ("by_kind", "prefix_count")

    def __init__(self) -> None:
        self.prefix_count = 0
        self.by_kind: dict[RouteKind, Count] = {}

    def add(
        self, attributes: PathAttributes, source: str, *, is_selected: bool
    ) -> None:
        """Count a route."""
        kind = RouteKind(attributes, source)
        found = self.by_kind.get(kind)
        if found is None:
            found = self.by_kind[kind] = Count()
        found.route_count += 1
        found.selected_count += is_selected


def _values(by: str, kind: RouteKind) -> Iterable[str]:
    """Return what routes of a kind are counted as."""
    attributes = kind.attributes
    match by:
        case "community":
            return map(format_community, attributes.communities)
        case "large-community":
            return map(format_large_community, attributes.large_communities)
        case "origin-as":
            return (str(attributes.as_path.origin_as),)
        case "next-hop":
            return (format_next_hop(attributes.next_hop),)
        case _:
            return (kind.source,)


def family_row(family: Family, tally: Tally) -> Row:
    """Return the sums of a family."""
    counts = tally.by_kind.values()
    return {
        "family": str(family),
        "prefixes": tally.prefix_count,
        "routes": sum(count.route_count for count in counts),
        "selected": sum(count.selected_count for count in counts),
    }


def rows_by(name: str, family: Family, tally: Tally) -> Iterator[Row | None]:
    """Yield a row for each value, the most frequent first, with yield points.

    Args:
        name: As the argument ``by`` of ``count-routes``.
        family: Of the routes.
        tally: What was counted.
    """
    sums: dict[str, Count] = {}
    for number, (kind, count) in enumerate(tally.by_kind.items()):
        for value in _values(name, kind):
            sums.setdefault(value, Count()).add(count)
        if number % _YIELD_AFTER == 0:
            yield None
    sorted_parts = []
    rest = iter(sums.items())
    while part := list(islice(rest, _SORTED_AT_ONCE)):
        sorted_parts.append(
            sorted((-c.route_count, v, c.selected_count) for v, c in part)
        )
        yield None
    for negative, value, selected in merge(*sorted_parts):
        yield {
            "family": str(family),
            "by": name,
            "value": value,
            "routes": -negative,
            "selected": selected,
        }
