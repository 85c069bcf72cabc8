"""Takes back path identifiers that no member uses any more (RFC 7911)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from reflector.group import UpdateGroup
from reflector.path_ids import PathIds
from rib.nlri import Nlri
from rib.path_set import Entry

_PENDING: Final = 1 << 20  # prefixes of all slow peers, copied in some 10 ms


def release_path_ids(
    path_ids: PathIds, table: Mapping[Nlri, Entry], groups: Iterable[UpdateGroup]
) -> Iterator[None]:
    """Take back identifiers of one family, a slice for each step.

    Args:
        path_ids: A sweep of them was claimed.
        table: Loc-RIB, of which no change waits to be flushed.
        groups: Whose members were given them.
    """
    groups = list(groups)
    # What slow peers were sent is not what the table has.
    pending = [
        member.pending_changes.values()
        for group in groups
        if group.export.context.add_path_max is not None
        for member in group.members.values()
        if member.pending_changes
    ]
    pending += [group.pacer.held.values() for group in groups]
    if sum(map(len, pending)) > _PENDING:
        path_ids.put_off()
        return
    held = [list(entries) for entries in (table.values(), *pending)]
    yield from path_ids.sweep(held)
