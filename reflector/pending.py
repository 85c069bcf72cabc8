"""Changes that wait to be told: newest state per prefix, in batches as long as possible.

Batches of changes to different prefixes are kept as they came, which costs a set update per
batch. Only when a prefix changes a second time while it waits are all merged, prefix by
prefix: what counts then is the entry it had when it was last told, and the one it has now.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from rib.loc_rib import Change
from rib.nlri import Nlri
from rib.path_set import Entry


class PendingChanges:
    """Changes of one family's table since they were last drained.

    Args:
        table: The table the changes are of, for its newest entries.
    """

    def __init__(self, table: Mapping[Nlri, Entry]) -> None:
        self._table = table
        self._seen: set[Nlri] = set()
        self._batches: list[Change] = []
        # NLRI -> the entry it had when last told; used instead of the batches once a
        # prefix has changed twice.
        self._merged: dict[Nlri, Entry | None] | None = None

    def __len__(self) -> int:
        return len(self._seen) if self._merged is None else len(self._merged)

    # hot: per batch
    def add(self, changes: Iterable[Change]) -> None:
        """Take in what a table's method returned."""
        for change in changes:
            merged = self._merged
            if merged is None:
                if self._seen.isdisjoint(change.nlris):
                    self._seen.update(change.nlris)
                    self._batches.append(change)
                    continue
                merged = self._merge()
            old = change.old
            for nlri in change.nlris:
                merged.setdefault(nlri, old)

    def _merge(self) -> dict[Nlri, Entry | None]:
        merged = self._merged = {
            nlri: batch.old for batch in self._batches for nlri in batch.nlris
        }
        self._batches.clear()
        self._seen.clear()
        return merged

    def drain(self, limit: int) -> list[Change]:
        """Return about ``limit`` prefixes' worth of changes, and forget them.

        Prefixes that are back where they were last told are left out.
        """
        if self._merged is not None:
            return self._drain_merged(limit)
        if len(self._seen) <= limit:
            drained, self._batches = self._batches, []
            self._seen.clear()
            return drained
        count = at = 0
        while count < limit:
            count += len(self._batches[at].nlris)
            at += 1
        drained, self._batches = self._batches[:at], self._batches[at:]
        for change in drained:
            self._seen.difference_update(change.nlris)
        return drained

    def _drain_merged(self, limit: int) -> list[Change]:
        merged = self._merged or {}
        get = self._table.get
        moves: dict[tuple[Entry | None, Entry | None], list[Nlri]] = {}
        if len(merged) <= limit:
            taken: Iterable[tuple[Nlri, Entry | None]] = merged.items()
            self._merged = None
        else:
            # The oldest first: who changes all the time must not starve the others.
            taken = list(islice(merged.items(), limit))
            for nlri, _ in taken:
                del merged[nlri]
        for nlri, old in taken:
            new = get(nlri)
            if new is not old:
                moves.setdefault((old, new), []).append(nlri)
        return [Change(old, new, nlris) for (old, new), nlris in moves.items()]
