"""Routes advertised to peers, counted and listed without a table.

What a member of an update group holds is what the group's export makes of Loc-RIB. So
prefixes are grouped by their path, and each path's are divided by the export at once.
"""

from collections.abc import Iterable, Iterator

from bgpd.pipeline.family_tables import FamilyTables
from reflector.group import UpdateGroup
from rib.nlri import Nlri
from rib.path import Path, Source
from rib.path_set import Entry, best_of, eligible_of

_SLICE = 2048  # prefixes divided between yield points, about a millisecond


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
) -> Iterator[None]:
    """Count the routes advertised to each of ``peers``, into ``counts``."""
    wanted: dict[UpdateGroup, list[Source]] = {}
    for source in peers:
        group = tables.group_of(source)
        if group is not None:
            wanted.setdefault(group, []).append(source)
    if not wanted:
        return
    by_entry: dict[Entry, list[Nlri]] = {}
    for number, (nlri, entry) in enumerate(list(tables.loc_rib.table.items())):
        by_entry.setdefault(entry, []).append(nlri)
        if number % (_SLICE * 4) == 0:
            yield None
    for group, members in wanted.items():
        total = 0
        own: dict[Source, int] = {}
        for entry, nlris in by_entry.items():
            for path in candidates(group, entry):
                for start in range(0, len(nlris), _SLICE):
                    piece = nlris[start : start + _SLICE]
                    told = sum(
                        len(some)
                        for outgoing, some in group.export.divide(path, piece)
                        if outgoing is not None
                    )
                    total += told
                    own[path.source] = own.get(path.source, 0) + told
                    yield None
        for source in members:
            counts[source] = total - own.get(source, 0)


def is_exported(group: UpdateGroup, source: Source, path: Path, nlri: Nlri) -> bool:
    """Return whether a member receives one path of one prefix."""
    if path.source is source:
        return False
    ((outgoing, _),) = group.export.divide(path, (nlri,))
    return outgoing is not None
