"""Routes advertised to peers, counted and listed without a table.

What a member of an update group holds is what the group's export makes of Loc-RIB. So
prefixes are grouped by their path, and each path's are divided by the export at once.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Final

from bgpd.pipeline.family_tables import FamilyTables
from reflector.group import UpdateGroup
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import Entry, best_of, eligible_of

_SLICE: Final = 2048  # prefixes divided between yield points, about a millisecond
_COUNTED: Final = 16384  # entries counted in one go, likewise


def candidates(group: UpdateGroup, entry: Entry) -> tuple[Path, ...]:
    """Return the paths of an entry that the members of a group may receive."""
    most = group.export.context.add_path_max
    if most is None:
        best = best_of(entry)
        return () if best is None else (best,)
    eligible = eligible_of(entry)
    return eligible[:most] if most else eligible


def export_counts_of(
    tables: FamilyTables, peers: Iterable[Source], counts: dict[Source, int]
) -> Generator[None, None, None]:
    """Count the routes advertised to each of ``peers``, into ``counts``.

    It is what they have once all pending changes have gone out: those of a slow peer are
    counted. A million prefixes with 140,000 sets of attributes take 0.16 s, in slices.
    """
    wanted: dict[UpdateGroup, list[Source]] = {}
    for source in peers:
        group = tables.group_of(source)
        if group is not None:
            wanted.setdefault(group, []).append(source)
    entries: Counter[Entry] = Counter()
    by_entry: dict[Entry, list[Nlri]] = {}
    asks_policy = [group.export.policy.needs_prefix for group in wanted]
    if not all(asks_policy):
        yield from _count_entries(tables, entries)
    if any(asks_policy):
        yield from _gather_by_entry(tables, by_entry)
    for group, members in wanted.items():
        own: dict[Source, int] = {}
        if group.export.policy.needs_prefix:
            yield from _sum_by_prefix(group, by_entry, own)
        else:
            yield from _sum_by_path(group, entries, own)
        total = sum(own.values())
        for source in members:
            counts[source] = total - own.get(source, 0)


def _count_entries(tables: FamilyTables, entries: Counter[Entry]) -> Iterator[None]:
    rest = iter([*tables.loc_rib.table.values()])
    while piece := [*islice(rest, _COUNTED)]:
        entries.update(piece)
        yield None


def _gather_by_entry(
    tables: FamilyTables, by_entry: dict[Entry, list[Nlri]]
) -> Iterator[None]:
    for number, (nlri, entry) in enumerate([*tables.loc_rib.table.items()], 1):
        by_entry.setdefault(entry, []).append(nlri)
        if number % _SLICE == 0:
            yield None


def _sum_by_path(
    group: UpdateGroup, entries: Counter[Entry], sums: dict[Source, int]
) -> Iterator[None]:
    """Add up what a group advertises, by source, where a path's form suits all of its prefixes."""
    outgoing_of = group.export  # what it remembers is for flushes
    for number, (entry, count) in enumerate(entries.items(), 1):
        for path in candidates(group, entry):
            if outgoing_of(path) is not None:
                sums[path.source] = sums.get(path.source, 0) + count
        if number % _SLICE == 0:
            yield None


def _sum_by_prefix(
    group: UpdateGroup, by_entry: dict[Entry, list[Nlri]], sums: dict[Source, int]
) -> Iterator[None]:
    """Add up what a group advertises, by source, asking the policy for each prefix."""
    for entry, nlris in by_entry.items():
        for path in candidates(group, entry):
            for start in range(0, len(nlris), _SLICE):
                piece = nlris[start : start + _SLICE]
                count = sum(
                    len(some)
                    for outgoing, some in group.export.divide(path, piece)
                    if outgoing is not None
                )
                sums[path.source] = sums.get(path.source, 0) + count
                yield None


def is_exported(group: UpdateGroup, source: Source, path: Path, nlri: Nlri) -> bool:
    """Return whether a member receives one path of one prefix."""
    if path.source is source:
        return False
    ((outgoing, _),) = group.export.divide(path, (nlri,))
    return outgoing is not None
