"""What a table's methods return: which prefixes went from one entry to another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from rib.nlri import Nlri
from rib.path_set import Entry


class Change(NamedTuple):
    """Prefixes that went from one entry to another; ``None`` is "no route"."""

    old: Entry | None
    new: Entry | None
    nlris: Sequence[Nlri]


# The class as a function runs Python code of its own.
make_change: Final[
    Callable[[tuple[Entry | None, Entry | None, Sequence[Nlri]]], Change]
] = partial(tuple.__new__, Change)
"""A ``Change`` of its fields, as a tuple."""


def changes_since(
    table: Mapping[Nlri, Entry],
    told: Iterable[tuple[Nlri, Entry | None]],
    *,
    has_equal: bool = False,
) -> list[Change]:
    """Return what became of prefixes since they had the entries given with them.

    Args:
        table: With the newest entries.
        told: Prefixes, each with a former entry.
        has_equal: Return also those whose entry is the same.
    """
    get = table.get
    moves: dict[tuple[Entry | None, Entry | None], list[Nlri]] = {}
    last_old: Entry | None = None
    last_new: Entry | None = None
    add: Callable[[Nlri], None] | None = None
    for nlri, old in told:
        new = get(nlri)
        if new is not old or has_equal:
            # Neighbours mostly have the same two.
            if add is None or new is not last_new or old is not last_old:
                add = moves.setdefault((old, new), []).append
                last_old, last_new = old, new
            add(nlri)
    return [make_change((old, new, nlris)) for (old, new), nlris in moves.items()]
