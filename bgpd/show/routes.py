"""``show routes``: the tables as rows: selected, received or advertised.

Three passes, each with yield points in it: choose the prefixes, put them in reading order, make
the rows. What a pass needs of a live table is copied first, so that rows of a table in
motion are each true at the moment they were made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.adj_rib_out import AdjRibOut
from bgpd.show.state import (
    DaemonView,
    Describer,
    find_families,
    find_limit,
    find_peer,
    find_prefix,
    in_reading_order,
)
from bgpd.speaker.peer import Peer
from rib.family import Family
from rib.import_checks import FilteredRoute
from rib.nlri import Nlri, format_prefix, make_nlri
from rib.path import Path
from rib.path_set import (
    Entry,
    best_of,
    members_of,
    multipath_of,
    paths_of,
    reasons_of,
)

_YIELD_AFTER: Final = 256  # prefixes looked at between yield points, under 0.1 ms

Wanted = Callable[[Nlri], bool]


class Side(Enum):
    """The side from which to show a table; each is an argument that names a peer."""

    RECEIVED = "received_from"  # Adj-RIB-In, with what was refused
    ADVERTISED = "advertised_to"  # Adj-RIB-Out


@dataclass(frozen=True, slots=True)
class _Question:
    """The parsed arguments."""

    families: tuple[Family, ...]
    wanted: Wanted
    peer: Peer | None
    side: Side | None
    is_best_only: bool
    limit: int | None


def routes(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return rows of the tables that match the arguments.

    Raises:
        ControlError: ``bad-argument`` or ``no-such-peer``.
    """
    question = _understand(view, arguments)
    return _limited(_all_families(view, question), question.limit)


def _understand(view: DaemonView, arguments: Arguments) -> _Question:
    families = find_families(arguments)
    prefix = arguments.get("prefix")
    is_longer = bool(arguments.get("longer"))
    wanted: Wanted = _everything
    if prefix is not None:
        family, nlri = find_prefix(prefix)
        if family not in families:
            raise ControlError("bad-argument", f"{prefix} is not of that family")
        families = [family]
        wanted = _inside(nlri) if is_longer else nlri.__eq__
    elif is_longer:
        raise ControlError("bad-argument", "longer needs a prefix", ("prefix",))
    sides = {side: arguments[side.value] for side in Side if side.value in arguments}
    names = [*sides.values()]
    if "peer" in arguments:
        names.append(arguments["peer"])
    if len(names) > 1:
        raise ControlError(
            "bad-argument",
            "one peer at a time",
            ("peer", *(side.value for side in Side)),
        )
    return _Question(
        families=tuple(families),
        wanted=wanted,
        peer=find_peer(view.speaker, names[0]) if names else None,
        side=next(iter(sides), None),
        is_best_only=bool(arguments.get("best")),
        limit=find_limit(arguments),
    )


def _everything(_: Nlri) -> bool:
    return True


def _inside(cover: Nlri) -> Wanted:
    length_bits = cover[0]

    def is_inside(nlri: Nlri) -> bool:
        return nlri[0] >= length_bits and make_nlri(nlri[1:], length_bits) == cover

    return is_inside


def _limited(rows: Iterator[Row | None], limit: int | None) -> Iterator[Row | None]:
    left = limit
    for row in rows:
        yield row
        if row is not None and left is not None:
            left -= 1
            if not left:
                return


def _all_families(view: DaemonView, question: _Question) -> Iterator[Row | None]:
    for family in question.families:
        if question.side is Side.ADVERTISED:
            yield from _advertised(view, question, family)
        else:
            yield from _held(view, question, family)


def _chosen(
    nlris: list[Nlri], is_chosen: Callable[[Nlri], bool]
) -> Iterator[Nlri | None]:
    """Yield the chosen prefixes in reading order, with yield points."""
    chosen: list[Nlri] = []
    for start in range(0, len(nlris), _YIELD_AFTER):
        chosen += filter(is_chosen, nlris[start : start + _YIELD_AFTER])
        yield None
    yield from in_reading_order(chosen)


# -- Loc-RIB and Adj-RIB-In -------------------------------------------------------------


def _held(
    view: DaemonView, question: _Question, family: Family
) -> Iterator[Row | None]:
    """Yield paths, of all sources or one peer; filtered routes on request."""
    table = view.speaker.tables[family].loc_rib.table
    peer, wanted = question.peer, question.wanted
    describe = Describer()
    filtered = _filtered_of(peer, family) if question.side is Side.RECEIVED else {}

    def is_chosen(nlri: Nlri) -> bool:
        if not wanted(nlri):
            return False
        if peer is None or nlri in filtered:
            return True
        return any(
            path.source is peer.sources[family] for path in members_of(table.get(nlri))
        )

    # Prefixes that were refused stand in no table; the others' order is kept.
    nlris = list(dict.fromkeys((*table, *filtered))) if filtered else list(table)
    for nlri in _chosen(nlris, is_chosen):
        if nlri is None:
            yield None
            continue
        prefix = format_prefix(nlri, family.afi)
        head = {"prefix": prefix, "family": str(family)}
        for row in entry_rows(table.get(nlri), describe):
            is_of_peer = peer is None or row["peer"] == peer.settings.name
            if is_of_peer and (row["is_best"] or not question.is_best_only):
                yield head | row
        if not question.is_best_only:
            for path_id, why in filtered.get(nlri, ()):
                yield head | filtered_row(peer, path_id, why, describe)


def _filtered_of(
    peer: Peer | None, family: Family
) -> dict[Nlri, list[tuple[int, FilteredRoute]]]:
    """Return a peer's filtered routes by prefix."""
    rib = None if peer is None else peer.ribs_in.get(family)
    found: dict[Nlri, list[tuple[int, FilteredRoute]]] = {}
    if rib is not None:
        for (nlri, path_id), why in rib.filtered.items():
            found.setdefault(nlri, []).append((path_id, why))
    return found


def entry_rows(entry: Entry | None, describe: Describer) -> Iterator[Row]:
    """Yield a row for each path of a table's entry, best first."""
    if entry is None:
        return
    best, multipath = best_of(entry), multipath_of(entry)
    for path, reason in zip(paths_of(entry), reasons_of(entry), strict=True):
        yield {
            **path_row(path),
            "is_best": path is best,
            "is_multipath": len(multipath) > 1 and path in multipath,
            "reason": reason.value,
            "is_filtered": False,
            "attributes": describe.of_path(path),
        }


def path_row(path: Path) -> Row:
    """Return the state of a path without its attributes."""
    return {
        "peer": path.source.name,
        "source": path.source.kind.name.lower(),
        "path_id": path.path_id,
        "weight": path.weight,
        "is_reachable": path.next_hop.is_reachable,
        "is_stale": path.epoch != path.source.epoch,
    }


def filtered_row(
    peer: Peer | None, path_id: int, why: FilteredRoute, describe: Describer
) -> Row:
    """Return a row for a filtered route."""
    return {
        "peer": "" if peer is None else peer.settings.name,
        "source": ""
        if peer is None
        else next(iter(peer.sources.values())).kind.name.lower(),
        "path_id": path_id,
        "is_best": False,
        "is_multipath": False,
        "is_filtered": True,
        "reason": filter_reason_text(why),
        "attributes": describe(why.attributes),
    }


def filter_reason_text(why: FilteredRoute) -> str:
    """Return why a route was filtered, in words."""
    reason = why.refusal.value
    return f"{reason}: {why.detail}" if why.detail else reason


# -- Adj-RIB-Out ------------------------------------------------------------------------


def _advertised(
    view: DaemonView, question: _Question, family: Family
) -> Iterator[Row | None]:
    """Yield what a peer receives, with attributes as it sees them."""
    peer = question.peer
    tables = view.speaker.tables[family]
    source = None if peer is None else peer.sources[family]
    group = None if source is None else tables.group_of(source)
    if source is None or group is None:
        return  # it speaks no such family, or not now
    table, describe, adj_rib_out = tables.loc_rib.table, Describer(), AdjRibOut(group)
    for nlri in _chosen(list(table), question.wanted):
        if nlri is None:
            yield None
            continue
        is_silent = True
        for path, attributes, _, _ in adj_rib_out.advertised(
            table.get(nlri), nlri, source
        ):
            if attributes is None:
                continue
            is_silent = False
            yield {
                "prefix": format_prefix(nlri, family.afi),
                "family": str(family),
                "peer": path.source.name,
                "source": path.source.kind.name.lower(),
                "is_best": path is best_of(table.get(nlri)),
                "attributes": describe(attributes),
            }
        if is_silent:
            yield None
