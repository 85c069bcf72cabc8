"""Path identifiers that no member holds a path by any more are taken back (RFC 7911)."""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from reflector.export import ExportContext
from reflector.group import UpdateGroup
from reflector.path_ids import PathIds
from rib.loc_rib import LocRib

_MISSED: Final = 1 << 20  # prefixes of all who are behind, copied in some 10 ms


class _Tables(Protocol):
    """What is asked of a family's tables."""

    @property
    def loc_rib(self) -> LocRib: ...

    @property
    def groups(self) -> Mapping[ExportContext, UpdateGroup]: ...

    def flush_now(self) -> None: ...


def take_back(path_ids: PathIds, tables: _Tables) -> Iterator[None]:
    """Take back identifiers of one family, a slice for each step.

    Args:
        path_ids: A sweep of them was claimed.
        tables: Whose members were given them.
    """
    tables.flush_now()
    # What was told to those who are behind is not what the table has.
    missed = [
        member.missed.values()
        for group in tables.groups.values()
        if group.export.context.add_path_max is not None
        for member in group.members.values()
        if member.missed
    ]
    missed += [group.pacer.held.values() for group in tables.groups.values()]
    if sum(map(len, missed)) > _MISSED:
        path_ids.put_off()
        return
    held = [list(entries) for entries in (tables.loc_rib.table.values(), *missed)]
    yield from path_ids.sweep(held)
