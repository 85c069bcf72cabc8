"""Changes that wait to be told: newest state per prefix, in batches as long as possible.

Batches of changes to different prefixes are kept as they came. Prefixes that are new to the
table are sure to be different ones; others cost a set update per batch. Only when a prefix
changes a second time while it waits are all merged, prefix by prefix: what counts then is
the entry it had when it was last told, and the one it has now.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from rib.loc_rib import Change, changes_since
from rib.nlri import Nlri
from rib.path_set import Entry


class PendingChanges:
    """Changes of one family's table since they were last drained.

    Args:
        table: The table the changes are of, for its newest entries.
    """

    def __init__(self, table: Mapping[Nlri, Entry]) -> None:
        self._table = table
        self._batches: list[Change] = []
        self._count = 0  # prefixes of the batches
        # Prefixes of the first so many batches; the others are looked at when it matters.
        self._seen: set[Nlri] = set()
        self._seen_batches = 0
        self._has_removal = False  # some batch may have taken a prefix out of the table
        # NLRI -> the entry it had when last told; used instead of the batches once a
        # prefix has changed twice.
        self._merged: dict[Nlri, Entry | None] | None = None

    def __len__(self) -> int:
        return self._count if self._merged is None else len(self._merged)

    # hot: per batch
    def add(self, changes: Iterable[Change]) -> None:
        """Take in what a table's method returned."""
        for change in changes:
            old, new, nlris = change
            merged = self._merged
            if merged is None:
                # What is new to the table waits for nothing, unless it left it just now.
                if (old is not None or self._has_removal) and not self._see(nlris):
                    merged = self._merge()
                else:
                    self._batches.append(change)
                    self._count += len(nlris)
                    if new is None:
                        self._has_removal = True
                    continue
            for nlri in nlris:
                merged.setdefault(nlri, old)

    def _see(self, nlris: Iterable[Nlri]) -> bool:
        """Take in the prefixes of the next batch, if none of them waits already."""
        seen = self._seen
        if self._seen_batches < len(self._batches):
            for batch in self._batches[self._seen_batches :]:
                seen.update(batch.nlris)
            self._seen_batches = len(self._batches)
        if not seen.isdisjoint(nlris):
            return False
        seen.update(nlris)
        self._seen_batches += 1
        return True

    def _merge(self) -> dict[Nlri, Entry | None]:
        merged = self._merged = {
            nlri: batch.old for batch in self._batches for nlri in batch.nlris
        }
        self._forget_batches()
        return merged

    def _forget_batches(self) -> None:
        self._batches = []
        self._seen.clear()
        self._count = self._seen_batches = 0
        self._has_removal = False

    def drain(self, limit: int) -> list[Change]:
        """Return about ``limit`` prefixes' worth of changes, and forget them.

        Prefixes that are back where they were last told are left out.
        """
        if self._merged is not None:
            return self._drain_merged(limit)
        drained = self._batches
        if self._count <= limit:
            self._forget_batches()
            return drained
        count = at = 0
        while count < limit:
            count += len(drained[at].nlris)
            at += 1
        drained, self._batches = drained[:at], drained[at:]
        self._count -= count
        for change in drained[: self._seen_batches]:
            self._seen.difference_update(change.nlris)
        self._seen_batches = max(0, self._seen_batches - at)
        return drained

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
