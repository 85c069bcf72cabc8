"""``show memory``: what takes how much, table by table."""

from collections.abc import Collection, Generator, Iterator
from typing import Final

from bgpd.api.protocol import Arguments, Row
from bgpd.journal.event_journal import EventJournal
from bgpd.net.poller import Poller
from bgpd.pipeline.family_tables import FamilyTables
from bgpd.pipeline.policy_registry import PolicyRegistry
from bgpd.pipeline.route_consumers import RouteConsumers
from bgpd.runtime.work_queue import WorkQueue
from bgpd.show.object_sizes import Gauge, Sizes, Walk
from bgpd.show.state import DaemonView
from bgpd.show.status import resident_octets
from bgpd.speaker.context import SpeakerContext
from bgpd.speaker.neighbours import Neighbours
from bgpd.speaker.peer import Peer
from bgpd.speaker.speaker import Speaker
from reflector.group import UpdateGroup
from rib.adj_rib_in import AdjRibIn
from rib.import_checks import FilteredRoute, ImportChecks
from rib.loc_rib import LocRib
from rib.next_hops import NextHopTable
from rib.outcome import Importer
from rib.outcome_memo import OutcomeMemo
from rib.path import NextHop, Path, Source
from rib.path_set import PathSet

_BORDERS: Final = (
    *(AdjRibIn, EventJournal, FamilyTables, Importer, ImportChecks, LocRib),
    *(Neighbours, NextHopTable, OutcomeMemo, Peer, PolicyRegistry, Poller),
    *(RouteConsumers, Source, Speaker, SpeakerContext, UpdateGroup, WorkQueue),
)
"""Each of these is a part, or belongs to all."""
_PATHS: Final = (FilteredRoute, NextHop, Path)  # counted as attributes
_ENTRIES: Final = (*_PATHS, PathSet)

Parts = Generator[Row | None, None, float]


def memory(view: DaemonView, _: Arguments) -> Iterator[Row | None]:
    """Yield a row for each part, then what is of none of them, then the whole process.

    Cost: some 0.1 s in slices, whatever the tables hold.
    """
    walk = Walk(_BORDERS)
    context = view.speaker.context
    counted = yield from _part(walk, "policies", [context.policies], _ENTRIES)
    counted += yield from _part(walk, "next-hops", [context.next_hops], ())
    for tables in view.speaker.tables.values():
        counted += yield from _family_parts(view, walk, tables)
    peers = [*view.speaker.peers.values(), view.speaker.neighbours]
    counted += yield from _part(walk, "peers", peers, _ENTRIES)
    counted += yield from _part(walk, "journal", [view.journal], _ENTRIES)
    counted += yield from _part(walk, "kernel", [view.kernel], _ENTRIES)
    if view.cluster is not None:
        counted += yield from _part(walk, "datastore", [view.cluster], _ENTRIES)
    resident = resident_octets()
    if resident is not None:
        yield _row("other", None, Sizes(max(0.0, resident - counted)), counts=False)
        yield _row("process", None, Sizes(resident), counts=False)


def memory_by_part(view: DaemonView) -> Generator[None, None, dict[str, int]]:
    """Return the octets of each part, all families together; yields between slices."""
    found: dict[str, int] = {}
    for row in memory(view, {}):
        if row is None:
            yield
        else:
            found[row["part"]] = found.get(row["part"], 0) + row["octets"]
    return found


def _row(part: str, family: str | None, sizes: Sizes, *, counts: bool = True) -> Row:
    return {
        "part": part,
        "family": family,
        "objects": round(sizes.objects) if counts else None,
        "octets": round(sizes.octets),
        "is_estimated": sizes.is_estimated,
    }


def _measured(part: str, family: str | None, sizes: Sizes, gauge: Gauge) -> Parts:
    yield from gauge
    yield _row(part, family, sizes)
    return sizes.octets


def _part(
    walk: Walk,
    part: str,
    roots: Collection[object],
    borders: tuple[type, ...],
    family: str | None = None,
) -> Parts:
    sizes = Sizes()
    gauge = walk.everything(roots, sizes, borders)
    return (yield from _measured(part, family, sizes, gauge))


def _family_parts(view: DaemonView, walk: Walk, tables: FamilyTables) -> Parts:
    family, name, loc_rib = tables.family, str(tables.family), tables.loc_rib
    ribs = [
        peer.ribs_in[family]
        for peer in view.speaker.peers.values()
        if family in peer.ribs_in
    ]
    memos = [rib.outcomes for rib in ribs]
    groups = [*tables.groups.values(), tables]
    sizes = Sizes()
    gauge = walk.keys(loc_rib.table, sizes)
    total = yield from _measured("loc-rib", name, sizes, gauge)
    total += yield from _part(walk, "attributes", memos, (NextHop,), name)
    total += yield from _part(walk, "path-sets", [loc_rib], _PATHS, name)
    total += yield from _part(walk, "adj-rib-in", ribs, _ENTRIES, name)
    total += yield from _part(walk, "update-groups", groups, _ENTRIES, name)
    return total
