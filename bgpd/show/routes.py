"""``show routes``: the tables as rows: selected, received or advertised.

Three passes, each with yield points in it: choose the prefixes, put them in reading order, make
the rows. What a pass needs of a live table is copied first, so that rows of a table in
motion are each true at the moment they were made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Final

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.adj_rib_out import AdjRibOut
from bgpd.show.ages import Ages
from bgpd.show.route_counts import (
    Tally,
    family_row,
    rows_by,
)
from bgpd.show.route_filter import (
    AttributeFilter,
    PathFilter,
    RouteState,
    find_states,
)
from bgpd.show.state import (
    DaemonView,
    Describer,
    Wanted,
    find_limit,
    find_peers,
    find_wanted,
    in_reading_order,
)
from bgpd.speaker.peer import Peer
from rib.attributes import PathAttributes
from rib.family import Family
from rib.import_checks import FilteredRoute
from rib.nlri import Nlri, format_prefix
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

PathWanted = Callable[[Path, Entry], bool]


class Side(Enum):
    """The side from which to show a table; each is an argument that names peers."""

    RECEIVED = "received_from"  # Adj-RIB-In, with what was refused
    ADVERTISED = "advertised_to"  # Adj-RIB-Out


@dataclass(frozen=True, slots=True)
class _Question:
    """The parsed arguments."""

    families: tuple[Family, ...]
    wanted: Wanted
    peers: tuple[Peer, ...]
    side: Side | None
    states: frozenset[RouteState]
    fits: AttributeFilter
    limit: int | None

    @property
    def has_filtered(self) -> bool:
        """Whether filtered routes are wanted."""
        if self.states:
            return RouteState.FILTERED in self.states
        return self.side is Side.RECEIVED


def routes(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return rows of the tables that match the arguments.

    Raises:
        ControlError: ``bad-argument`` or ``no-such-peer``.
    """
    question = _understand(view, arguments)
    return _limited(_all_families(view, question), question.limit)


def route_counts(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return counts of what ``routes`` would show, by family or by argument ``by``.

    Raises:
        ControlError: ``bad-argument`` or ``no-such-peer``.
    """
    question = _understand(view, arguments)
    counted = (
        _counted(view, question, family, arguments.get("by"))
        for family in question.families
    )
    return _limited(chain.from_iterable(counted), question.limit)


def _understand(view: DaemonView, arguments: Arguments) -> _Question:
    families, wanted = find_wanted(arguments)
    sides = {side: arguments[side.value] for side in Side if side.value in arguments}
    names = [*sides.values()]
    if "peer" in arguments:
        names.append(arguments["peer"])
    if len(names) > 1:
        raise ControlError(
            "bad-argument",
            "only one of these arguments can name peers",
            ("peer", *(side.value for side in Side)),
        )
    side = next(iter(sides), None)
    states = find_states(arguments)
    if side is Side.ADVERTISED and not states <= {RouteState.SELECTED}:
        raise ControlError(
            "bad-argument", "what is advertised can only be selected", ("selected",)
        )
    return _Question(
        families=families,
        wanted=wanted,
        peers=find_peers(view.speaker, names[0]) if names else (),
        side=side,
        states=states,
        fits=AttributeFilter(arguments),
        limit=find_limit(arguments),
    )


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
            for peer in question.peers:
                yield from _advertised(view, question, family, peer)
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

_Filtered = dict[Nlri, list[tuple[Peer, int, FilteredRoute]]]


def _held(
    view: DaemonView, question: _Question, family: Family
) -> Iterator[Row | None]:
    """Yield paths, of all sources or some peers; filtered routes on request."""
    table = view.speaker.tables[family].loc_rib.table
    describe, ages = Describer(), Ages(view, family)
    yield from ages.look_up_all()
    is_wanted = _path_filter(question, family)
    filtered: _Filtered = {}
    if question.has_filtered:
        yield from _gather_filtered(view, question, family, filtered)

    def is_chosen(nlri: Nlri) -> bool:
        if not question.wanted(nlri):
            return False
        if nlri in filtered:
            return True
        entry = table.get(nlri)
        return entry is not None and any(
            is_wanted(path, entry) for path in members_of(entry)
        )

    # Prefixes that were refused stand in no table; the others' order is kept.
    nlris = list(dict.fromkeys((*table, *filtered))) if filtered else list(table)
    for nlri in _chosen(nlris, is_chosen):
        if nlri is None:
            yield None
            continue
        prefix = format_prefix(nlri, family.afi)
        head = {"prefix": prefix, "family": str(family)}
        for row in entry_rows(table.get(nlri), describe, is_wanted, nlri, ages):
            yield head | row
        for peer, path_id, why in filtered.get(nlri, ()):
            yield head | filtered_row(peer, path_id, why, describe)


def _path_filter(question: _Question, family: Family) -> PathFilter:
    peers = question.peers
    sources = [peer.sources[family] for peer in peers if family in peer.sources]
    return PathFilter(sources if peers else None, question.states, question.fits)


def _gather_filtered(
    view: DaemonView, question: _Question, family: Family, found: _Filtered
) -> Iterator[None]:
    """Put the wanted filtered routes of peers into ``found``, with yield points."""
    wanted, fits = question.wanted, question.fits
    for peer in question.peers or tuple(view.speaker.peers.values()):
        rib = peer.ribs_in.get(family)
        for routes_of_kind in () if rib is None else rib.filtered.tables():
            keys = list(routes_of_kind)  # a live table, copied by one call into C
            for start in range(0, len(keys), _YIELD_AFTER):
                for key in keys[start : start + _YIELD_AFTER]:
                    nlri, path_id = key if isinstance(key, tuple) else (key, 0)
                    why = routes_of_kind.get(key)
                    if why is not None and wanted(nlri) and fits(why.attributes):
                        found.setdefault(nlri, []).append((peer, path_id, why))
                yield None


def entry_rows(
    entry: Entry | None,
    describe: Describer,
    is_wanted: PathWanted,
    nlri: Nlri,
    ages: Ages,
) -> Iterator[Row]:
    """Yield a row for each wanted path of a table's entry, best first."""
    if entry is None:
        return
    best, multipath = best_of(entry), multipath_of(entry)
    for path, reason in zip(paths_of(entry), reasons_of(entry), strict=True):
        if not is_wanted(path, entry):
            continue
        yield {
            **path_row(path),
            "is_best": path is best,
            "is_multipath": len(multipath) > 1 and path in multipath,
            "reason": reason.value,
            "is_filtered": False,
            **ages.row(nlri, path, is_best=path is best),
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
    peer: Peer, path_id: int, why: FilteredRoute, describe: Describer
) -> Row:
    """Return a row for a filtered route."""
    return {
        "peer": peer.settings.name,
        "source": next(iter(peer.sources.values())).kind.name.lower(),
        "path_id": path_id,
        "is_best": False,
        "is_multipath": False,
        "is_filtered": True,
        "changed": None,
        "changed_is_exact": False,
        "age": None,
        "reason": filter_reason_text(why),
        "attributes": describe(why.attributes),
    }


def filter_reason_text(why: FilteredRoute) -> str:
    """Return why a route was filtered, in words."""
    reason = why.refusal.value
    return f"{reason}: {why.detail}" if why.detail else reason


# -- Adj-RIB-Out ------------------------------------------------------------------------


def _advertised(
    view: DaemonView, question: _Question, family: Family, peer: Peer
) -> Iterator[Row | None]:
    """Yield what a peer receives, with attributes as it sees them."""
    table, describe = view.speaker.tables[family].loc_rib.table, Describer()
    paths_to = _advertised_paths(view, question, family, peer)
    ages = Ages(view, family)
    yield from ages.look_up_all()
    for nlri in _chosen(list(table), question.wanted):
        if nlri is None:
            yield None
            continue
        is_silent = True
        for path, attributes, is_best in paths_to(nlri):
            is_silent = False
            yield {
                "prefix": format_prefix(nlri, family.afi),
                "family": str(family),
                "peer": path.source.name,
                "source": path.source.kind.name.lower(),
                "advertised_to": peer.settings.name,
                "is_best": is_best,
                **ages.row(nlri, path, is_best=is_best),
                "attributes": describe(attributes),
            }
        if is_silent:
            yield None


_AdvertisedPaths = Iterator[tuple[Path, PathAttributes, bool]]


def _advertised_paths(
    view: DaemonView, question: _Question, family: Family, peer: Peer
) -> Callable[[Nlri], _AdvertisedPaths]:
    """Return what yields the wanted paths of a prefix that a peer receives."""
    tables = view.speaker.tables[family]
    source = peer.sources.get(family)
    group = None if source is None else tables.group_of(source)
    if source is None or group is None:
        return lambda _: iter(())  # it speaks no such family, or not now
    table, adj_rib_out = tables.loc_rib.table, AdjRibOut(group)
    is_best_only = RouteState.SELECTED in question.states

    def paths_to(nlri: Nlri) -> _AdvertisedPaths:
        entry = table.get(nlri)
        best = best_of(entry)
        for path, attributes, _, _ in adj_rib_out.advertised(entry, nlri, source):
            if attributes is None or (is_best_only and path is not best):
                continue
            if question.fits(attributes):
                yield path, attributes, path is best

    return paths_to


# -- counts -----------------------------------------------------------------------------


def _counted(
    view: DaemonView, question: _Question, family: Family, by: str | None
) -> Iterator[Row | None]:
    """Yield counts of what ``_held`` or ``_advertised`` would show."""
    tally = Tally()
    if question.side is Side.ADVERTISED:
        yield from _count_advertised(view, question, family, tally)
    else:
        yield from _count_held(view, question, family, tally)
        if question.has_filtered:
            yield from _count_filtered(view, question, family, tally)
    if by is None:
        yield family_row(family, tally)
    else:
        yield from rows_by(by, family, tally)


def _count_advertised(
    view: DaemonView, question: _Question, family: Family, tally: Tally
) -> Iterator[None]:
    paths_to = [
        _advertised_paths(view, question, family, peer) for peer in question.peers
    ]
    for nlri in _in_slices(view, question, family):
        if nlri is None:
            yield None
            continue
        is_silent = True
        for paths_to_peer in paths_to:
            for path, attributes, is_best in paths_to_peer(nlri):
                is_silent = False
                tally.add(attributes, path.source.name, is_selected=is_best)
        tally.prefix_count += not is_silent


def _count_held(
    view: DaemonView, question: _Question, family: Family, tally: Tally
) -> Iterator[None]:
    table = view.speaker.tables[family].loc_rib.table
    is_wanted = _path_filter(question, family)
    for nlri in _in_slices(view, question, family):
        entry = None if nlri is None else table.get(nlri)
        if entry is None:
            yield None
            continue
        best = best_of(entry)
        is_silent = True
        for path in members_of(entry):
            if is_wanted(path, entry):
                is_silent = False
                tally.add(path.attributes, path.source.name, is_selected=path is best)
        tally.prefix_count += not is_silent


def _count_filtered(
    view: DaemonView, question: _Question, family: Family, tally: Tally
) -> Iterator[None]:
    table = view.speaker.tables[family].loc_rib.table
    is_wanted = _path_filter(question, family)
    filtered: _Filtered = {}
    yield from _gather_filtered(view, question, family, filtered)
    for number, (nlri, some) in enumerate(filtered.items()):
        for peer, _, why in some:
            tally.add(why.attributes, peer.settings.name, is_selected=False)
        entry = table.get(nlri)
        is_counted = entry is not None and any(
            is_wanted(path, entry) for path in members_of(entry)
        )
        tally.prefix_count += not is_counted
        if number % _YIELD_AFTER == 0:
            yield None


def _in_slices(
    view: DaemonView, question: _Question, family: Family
) -> Iterator[Nlri | None]:
    """Yield the wanted prefixes of a table in no order, with yield points."""
    nlris = list(view.speaker.tables[family].loc_rib.table)
    for start in range(0, len(nlris), _YIELD_AFTER):
        yield from filter(question.wanted, nlris[start : start + _YIELD_AFTER])
        yield None
