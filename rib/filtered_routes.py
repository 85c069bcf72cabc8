"""Routes of a peer that were filtered, by prefix and path identifier.

Nearly every table has some, a private prefix or a path through our own AS, so an UPDATE must
not pay for them: that none of its prefixes is among them is one pass in C. Without path
identifiers (RFC 7911) the key is the prefix alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rib.import_checks import FilteredRoute
from rib.nlri import Nlri

Key = tuple[Nlri, int]
"""A prefix, and its path identifier; 0 without add-path."""


class FilteredRoutes(Mapping[Key, FilteredRoute]):
    """What a peer advertised and did not get in, and why."""

    __slots__ = ("_identified", "_plain")

    def __init__(self) -> None:
        self._plain: dict[Nlri, FilteredRoute] = {}
        self._identified: dict[Key, FilteredRoute] = {}

    def __len__(self) -> int:
        """Count routes."""
        return len(self._plain) + len(self._identified)

    def __getitem__(self, key: Key) -> FilteredRoute:
        """Return why a route was filtered."""
        nlri, path_id = key
        return self._identified[key] if path_id else self._plain[nlri]

    def __iter__(self) -> Iterator[Key]:
        """Iterate over prefixes and their identifiers."""
        for nlri in self._plain:
            yield nlri, 0
        yield from self._identified

    def put(self, nlris: Iterable[Nlri], path_id: int, why: FilteredRoute) -> None:
        """Note that prefixes are filtered."""
        if path_id:
            keys = ((nlri, path_id) for nlri in nlris)
            self._identified.update(dict.fromkeys(keys, why))
        else:
            self._plain.update(dict.fromkeys(nlris, why))

    # hot: per read
    def forget(self, nlris: Iterable[Nlri], path_id: int) -> set[Nlri]:
        """Forget that prefixes were filtered; return those that were."""
        if path_id:
            pop = self._identified.pop
            return {nlri for nlri in nlris if pop((nlri, path_id), None) is not None}
        plain = self._plain
        found = plain.keys() & nlris if plain else set()
        for nlri in found:
            del plain[nlri]
        return found

    def tables(self) -> tuple[dict[Any, Any], ...]:
        """Return what holds the routes, to be freed in slices."""
        return self._plain, self._identified
