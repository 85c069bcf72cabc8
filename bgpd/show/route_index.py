"""All routes in little room, for programs that search in them: the page does.

Rows of ``show routes`` repeat peer and attributes for each path, 600 octets of JSON each. Here
everything that many prefixes share stands once, and has a number from then on: peers,
attribute sets, and the paths of a prefix together. So a prefix costs its own text
and one number, and 100,000 take a thirtieth of the room and of the time.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.ages import Ages
from bgpd.show.routes import filtered_row, path_row
from bgpd.show.state import (
    DaemonView,
    Describer,
    find_families,
    find_limit,
    find_prefix,
    in_reading_order,
)
from bgpd.speaker.peer import Peer
from rib.family import Family
from rib.import_checks import FilteredRoute
from rib.nlri import Nlri, format_prefix, make_nlri
from rib.path_set import Entry, best_of, multipath_of, paths_of, reasons_of

_BLOCK: Final = 500  # prefixes a block, 0.5 ms
_ATTRIBUTE_SETS: Final = 100  # described for the first time in a block, 2 ms
_YIELD_AFTER: Final = 256  # prefixes looked at between yield points

_FLAGS: Final = ("is_best", "is_multipath", "is_reachable", "is_stale", "is_filtered")


class _Numbers:
    """Numbers for values, in the order in which they appear; ends with one answer."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._values: list[Any] = []  # held, so that no identity is used twice
        self._taken = 0

    @property
    def fresh_count(self) -> int:
        """Values since the last block."""
        return len(self._values) - self._taken

    def of(self, key: Hashable, make: Callable[[], Any]) -> int:
        """Return the number of ``key``; a first one is described by ``make``."""
        number = self._numbers.get(key)
        if number is None:
            value = make()
            number = self._numbers[key] = len(self._values)
            self._values.append(value)
        return number

    def take(self) -> list[Any]:
        """Return what is new since the last call."""
        fresh = self._values[self._taken :]
        self._taken = len(self._values)
        return fresh


class _Block:
    """The prefixes of a block, and what they refer to; ends with one answer."""

    def __init__(self) -> None:
        self._sources = _Numbers()
        self._attributes = _Numbers()
        self._reasons = _Numbers()
        self._entries = _Numbers()
        self._prefixes: list[str] = []
        self._of: list[int] = []
        self._ages: list[int | None] = []

    def __len__(self) -> int:
        return len(self._prefixes)

    @property
    def is_full(self) -> bool:
        """Whether more would take a slice of the loop that is too long."""
        return (
            len(self._prefixes) >= _BLOCK
            or self._attributes.fresh_count >= _ATTRIBUTE_SETS
        )

    def add(
        self,
        prefix: str,
        age: int | None,
        key: Hashable,
        make: Callable[[], Iterator[Row]],
    ) -> None:
        """Add a prefix; ``make`` yields the rows of its paths, once for each ``key``."""
        self._prefixes.append(prefix)
        self._ages.append(age)
        self._of.append(
            self._entries.of(key, lambda: [self._path(row) for row in make()])
        )

    def _path(self, row: Row) -> list[int | None]:
        peer, source, attributes = row["peer"], row["source"], row["attributes"]
        reason = row["reason"]
        return [
            self._sources.of((peer, source), lambda: {"peer": peer, "source": source}),
            self._attributes.of(id(attributes), lambda: attributes),
            sum(1 << bit for bit, flag in enumerate(_FLAGS) if row.get(flag)),
            self._reasons.of(reason, lambda: reason),
            row["age"],
        ]

    def take(self, family: Family) -> Row:
        """Return the block, and begin the next."""
        prefixes, self._prefixes = self._prefixes, []
        path_sets, self._of = self._of, []
        ages, self._ages = self._ages, []
        return {
            "family": str(family),
            "sources": self._sources.take(),
            "attribute_sets": self._attributes.take(),
            "reasons": self._reasons.take(),
            "path_sets": self._entries.take(),
            "prefixes": prefixes,
            "paths": path_sets,
            "ages": ages,
        }


def route_index(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return blocks of routes; with ``filtered``, of those that were filtered.

    Raises:
        ControlError: ``bad-argument``.
    """
    families = find_families(arguments)
    prefix = arguments.get("prefix")
    inside: Nlri | None = None
    if prefix is not None:
        family, inside = find_prefix(prefix)
        if family not in families:
            raise ControlError("bad-argument", f"{prefix} is not of that family")
        families = [family]
    limit = find_limit(arguments)
    make = _filtered if arguments.get("filtered") else _accepted
    return _blocks(view, families, inside, limit, make)


_Found = tuple[Nlri, int | None, Hashable, Callable[[], Iterator[Row]]]
_Make = Callable[[DaemonView, Family, Nlri | None, Describer], Iterator[_Found | None]]


def _blocks(
    view: DaemonView,
    families: list[Family],
    inside: Nlri | None,
    limit: int | None,
    make: _Make,
) -> Iterator[Row | None]:
    block, describe, count = _Block(), Describer(), 0
    for family in families:
        for found in make(view, family, inside, describe):
            if found is None:
                yield None
                continue
            nlri, age, key, rows = found
            block.add(format_prefix(nlri, family.afi), age, key, rows)
            count += 1
            if block.is_full or count == limit:
                yield block.take(family)
            if count == limit:
                return
        if len(block):
            yield block.take(family)


def _is_inside(nlri: Nlri, cover: Nlri | None) -> bool:
    if cover is None:
        return True
    return nlri[0] >= cover[0] and make_nlri(nlri[1:], cover[0]) == cover


def _accepted(
    view: DaemonView, family: Family, inside: Nlri | None, describe: Describer
) -> Iterator[_Found | None]:
    """Yield the prefixes of Loc-RIB in reading order."""
    table = view.speaker.tables[family].loc_rib.table
    chosen: list[Nlri] = list(table)
    if inside is not None:
        all_nlris, chosen = chosen, []
        for start in range(0, len(all_nlris), _YIELD_AFTER):
            some = all_nlris[start : start + _YIELD_AFTER]
            chosen += (nlri for nlri in some if _is_inside(nlri, inside))
            yield None
    ages = Ages(view, family)
    yield from ages.look_up_all()
    for nlri in in_reading_order(chosen):
        entry = None if nlri is None else table.get(nlri)
        if nlri is None or entry is None:
            yield None
            continue
        yield nlri, ages.of_change(nlri), entry, _rows_of(entry, describe, ages)


def _rows_of(
    entry: Entry, describe: Describer, ages: Ages
) -> Callable[[], Iterator[Row]]:
    return lambda: _entry_rows(entry, describe, ages)


def _entry_rows(entry: Entry, describe: Describer, ages: Ages) -> Iterator[Row]:
    best, multipath = best_of(entry), multipath_of(entry)
    for path, reason in zip(paths_of(entry), reasons_of(entry), strict=True):
        yield {
            **path_row(path),
            "is_best": path is best,
            "is_multipath": len(multipath) > 1 and path in multipath,
            "reason": reason.value,
            "age": ages.of_path(path),
            "attributes": describe.of_path(path),
        }


def _filtered(
    view: DaemonView, family: Family, inside: Nlri | None, describe: Describer
) -> Iterator[_Found | None]:
    """Yield filtered routes, peer by peer."""
    for number, peer in enumerate(list(view.speaker.peers.values())):
        if number % _YIELD_AFTER == 0:
            yield None
        rib = peer.ribs_in.get(family)
        if rib is None or not rib.filtered:
            continue
        for count, ((nlri, path_id), why) in enumerate(list(rib.filtered.items())):
            if count % _YIELD_AFTER == 0:
                yield None
            if not _is_inside(nlri, inside):
                continue
            key = (peer.settings.name, why, path_id)
            yield nlri, None, key, _row_of(peer, path_id, why, describe)


def _row_of(
    peer: Peer, path_id: int, why: FilteredRoute, describe: Describer
) -> Callable[[], Iterator[Row]]:
    return lambda: iter((filtered_row(peer, path_id, why, describe),))
