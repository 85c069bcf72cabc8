"""Changes that wait for the next flush: newest state per prefix, in batches as long as possible.

Batches of changes to different prefixes are kept as they came. Prefixes that are new to the
table are sure to be different ones; others are gathered in a set, all that come together at
once. Only when a prefix changes a second time while it waits are all merged, prefix by
prefix: what counts then is the entry it had when it was last told, and the one it has now.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from sys import maxsize
from typing import Final

from rib.change import Change, changes_since
from rib.nlri import Nlri
from rib.path_set import Entry

_OBJECTS: Final = 4  # of a change: a path and its attributes, mostly, itself and a list
_OBJECTS_FREED: Final = 2  # the last two, once it is flushed

_old_of = itemgetter(0)
_nlris_of = itemgetter(2)


class PendingChanges:
    """Changes of one family's table since they were last drained.

    Args:
        table: The table the changes are of, for its newest entries.

    Attributes:
        made: Objects that the collector may scan but should not: made, and not freed yet,
            by changes of prefixes that were new to the table, since it was set to 0.
    """

    def __init__(self, table: Mapping[Nlri, Entry]) -> None:
        self.made = 0
        self._table = table
        self._batches: list[Change] = []
        self._count = 0  # prefixes of the batches
        # Some batch's prefixes were in the table: what is new to it cannot be so twice
        # unless it was removed between.
        self._has_known = False
        # Prefixes of the first so many batches; the others are added when it matters.
        self._seen: set[Nlri] = set()
        self._seen_batches = 0
        # NLRI -> the entry it had when last told; used instead of the batches once a
        # prefix has changed twice.
        self._merged: dict[Nlri, Entry | None] | None = None

    def __len__(self) -> int:
        return self._count if self._merged is None else len(self._merged)

    # hot: per batch
    def add(self, changes: Sequence[Change]) -> None:
        """Add what a table's method returned."""
        if self._merged is not None:
            _note(self._merged, changes)
            return
        batches = self._batches
        batches += changes
        self._count += sum(map(len, map(_nlris_of, changes)))
        self._has_known = self._has_known or any(map(_old_of, changes))
        if not self._has_known:
            self.made += _OBJECTS * len(changes)
        if self._has_known and len(batches) > 1:
            seen = self._seen
            seen.update(*map(_nlris_of, batches[self._seen_batches :]))
            self._seen_batches = len(batches)
            if len(seen) < self._count:
                self._merged = {}
                _note(self._merged, batches)
                self._forget_batches()

    def _freed(self, changes: list[Change]) -> list[Change]:
        self.made -= _OBJECTS_FREED * len(changes)
        return changes

    def _forget_batches(self) -> None:
        self._batches = []
        self._seen.clear()
        self._count = self._seen_batches = 0
        self._has_known = False

    def drain(self, limit: int, most: int = maxsize) -> list[Change]:
        """Return about ``limit`` prefixes' worth of changes, and forget them.

        Prefixes that are back where they were last told are left out.

        Args:
            limit: Prefixes.
            most: Changes, while no prefix has changed twice.
        """
        if self._merged is not None:
            return self._drain_merged(limit)
        drained = self._batches
        if self._count <= limit and len(drained) <= most:
            self._forget_batches()
            return self._freed(drained)
        count = at = 0
        while count < limit and at < most:
            count += len(drained[at].nlris)
            at += 1
        drained, self._batches = drained[:at], drained[at:]
        self._count -= count
        for change in drained[: self._seen_batches]:
            self._seen.difference_update(change.nlris)
        self._seen_batches = max(0, self._seen_batches - at)
        return self._freed(drained)

    def _drain_merged(self, limit: int) -> list[Change]:
        merged = self._merged or {}
        if len(merged) <= limit:
            taken: Iterable[tuple[Nlri, Entry | None]] = merged.items()
            self._merged = None
        else:
            # The oldest first: who changes all the time must not starve the others.
            taken = list(islice(merged.items(), limit))
            for nlri, _ in taken:
                del merged[nlri]
        return changes_since(self._table, taken)


def _note(merged: dict[Nlri, Entry | None], changes: Iterable[Change]) -> None:
    """Remember the entry that each prefix had first."""
    for old, _, nlris in changes:
        for nlri in nlris:
            if nlri not in merged:  # half the time of setdefault
                merged[nlri] = old
